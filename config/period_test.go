package config

import (
	"testing"
	"time"
)

func TestPeriods(t *testing.T) {
	at := time.Date(2026, 12, 31, 23, 30, 0, 0, time.FixedZone("", -3600)) // the next year in UTC
	f := func(p Period, since, until string) {
		t.Helper()
		show := func(t time.Time) string {
			if t.IsZero() {
				return ""
			}
			return t.Format(time.RFC3339)
		}
		if a, b := show(p.Since(at)), show(p.Until(at)); a != since || b != until {
			t.Errorf("%q: got %s to %s, want %s to %s", p, a, b, since, until)
		}
	}
	f(PeriodDay, "2027-01-01T00:00:00Z", "2027-01-02T00:00:00Z")
	f(PeriodMonth, "2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z")
	f("", "2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z")
	f(PeriodTotal, "", "")
}

func TestParsePeriod(t *testing.T) {
	for _, name := range []string{"day", "month", "total"} {
		if p, ok := ParsePeriod(name); !ok || string(p) != name {
			t.Errorf("%s: got %q, %t", name, p, ok)
		}
	}
	for _, name := range []string{"", "Day", "week"} {
		if _, ok := ParsePeriod(name); ok {
			t.Errorf("%q is taken", name)
		}
	}
}
