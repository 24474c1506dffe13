package config

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

func TestParseUSD(t *testing.T) {
	f := func(text string, want USD) {
		t.Helper()
		got, err := ParseUSD(text)
		if err != nil || got != want {
			t.Errorf("%s: got %d (%v), want %d millionths", text, got, err, want)
		}
	}
	f("0", 0)
	f("0.000001", 1)
	f("2.5", 2_500_000)
	f("2.50", 2_500_000)
	f("0.15", 150_000)
	f("1000000000", mostUSD)

	refuse := func(text string) {
		t.Helper()
		if got, err := ParseUSD(text); err == nil {
			t.Errorf("%q: got %s, want an error", text, got)
		}
	}
	for _, text := range []string{"", ".", "1.", ".5", "-1", "+1", "1e3", "0.0000001", "1,5", "1000000000.000001", "99999999999", `"1"`, "null", "NaN", "٣"} {
		refuse(text)
	}
}

// Whatever is declared is read back exactly, as text and as JSON.
func TestUSDIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := USD(rapid.Int64Range(0, int64(mostUSD)).Draw(t, "usd"))
		if got, err := ParseUSD(want.String()); err != nil || got != want {
			t.Fatalf("%d became %q became %d (%v)", want, want.String(), got, err)
		}
		raw, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got USD
		if err := json.Unmarshal(raw, &got); err != nil || got != want {
			t.Fatalf("%d became %s became %d (%v)", want, raw, got, err)
		}
	})
}

func TestUSDString(t *testing.T) {
	f := func(u USD, want string) {
		t.Helper()
		if got := u.String(); got != want {
			t.Errorf("%d: got %s, want %s", int64(u), got, want)
		}
	}
	f(0, "0")
	f(1, "0.000001")
	f(1_500_000, "1.5")
	f(-1_500_000, "-1.5")
	f(12*OneUSD, "12")
}
