package downstream

import (
	"errors"
	"os"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Of all deadlines that are set only the last one counts, whether it is sooner
// or later than the ones before.
func TestLastReadDeadlineCounts(t *testing.T) {
	_, c, _ := pair(t, Options{})
	const soon, late = 10 * time.Millisecond, time.Hour
	rapid.Check(t, func(t *rapid.T) {
		before := rapid.SliceOfN(rapid.SampledFrom([]time.Duration{-late, 0, soon / 2, soon, late}), 0, 4).Draw(t, "before")
		for _, d := range before {
			set(t, c, d)
		}
		began := time.Now()
		set(t, c, soon)
		_, err := c.Read(make([]byte, 1))
		if took := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || took < soon {
			t.Fatalf("after %v: %v", took, err)
		}
	})
}

// set sets the read deadline d from now, or none for 0.
func set(t *rapid.T, c *Conn, d time.Duration) {
	at := time.Now().Add(d)
	if d == 0 {
		at = time.Time{}
	}
	if err := c.SetReadDeadline(at); err != nil {
		t.Fatal(err)
	}
}

// A reader that waits already goes by what is set meanwhile.
func TestReadDeadlineWhileReading(t *testing.T) {
	f := func(what string, first, then time.Duration, wantErr bool) {
		t.Helper()
		_, c, client := pair(t, Options{})
		must(t, c.SetReadDeadline(time.Now().Add(first)))
		got := make(chan error, 1)
		go func() {
			_, err := c.Read(make([]byte, 1))
			got <- err
		}()
		<-time.After(10 * time.Millisecond) // most likely it waits now; the result is the same if not
		at := time.Now().Add(then)
		if then == 0 {
			at = time.Time{}
		}
		must(t, c.SetReadDeadline(at))
		if !wantErr {
			<-time.After(2 * first)
			client.Write([]byte("x"))
		}
		if err := within(t, "the end of Read", got); errors.Is(err, os.ErrDeadlineExceeded) != wantErr {
			t.Fatalf("%s: %v", what, err)
		}
	}
	f("sooner", time.Hour, 20*time.Millisecond, true)
	f("at once", time.Hour, -time.Second, true)
	f("later", 50*time.Millisecond, time.Hour, false)
	f("never", 50*time.Millisecond, 0, false)
}
