package usage

import (
	"reflect"
	"testing"
)

// The names are public: records, metrics and the ledger show them.
func TestNames(t *testing.T) {
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f(None.String(), "none")
	f(Upstream.String(), "upstream")
	f(Counted.String(), "counted")
	f(Estimated.String(), "estimated")
	f(Partial.String(), "partial")

	f(Complete.String(), "ok")
	f(Refused.String(), "rejected")
	f(Failed.String(), "error")
	f(Truncated.String(), "truncated")
	f(Cancelled.String(), "client_gone")

	f((&Record{}).Result(), "ok")
	f((&Record{Outcome: Failed, Code: "upstream_timeout", Phase: "body"}).Result(), "error:upstream_timeout")
	f((&Record{Outcome: Failed}).Result(), "error")
	f((&Record{Outcome: Cancelled, Phase: "first_byte"}).Result(), "client_gone:first_byte")
	f((&Record{Outcome: Truncated, Code: "c", Phase: "p"}).Result(), "truncated")
}

// A record must stay a plain value: a slice, map or pointer in it could be a
// view of a prompt or of a pooled buffer.
func TestRecordHoldsOnlyPlainValues(t *testing.T) {
	r := reflect.TypeFor[Record]()
	for i := range r.NumField() {
		switch f := r.Field(i); f.Type.Kind() {
		case reflect.String, reflect.Int, reflect.Int64, reflect.Uint64, reflect.Uint8, reflect.Bool:
		case reflect.Struct: // time.Time
			if f.Type.String() != "time.Time" {
				t.Errorf("field %s is a %s", f.Name, f.Type)
			}
		default:
			t.Errorf("field %s is a %s", f.Name, f.Type)
		}
	}
}

func TestDiscardAllocatesNothing(t *testing.T) {
	record := Record{RequestID: "r", Model: "gpt-4"}
	if n := testing.AllocsPerRun(100, func() { Discard.Record(record) }); n != 0 {
		t.Errorf("allocations per record: %v", n)
	}
}
