package logging

import (
	"bytes"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

func TestNamesOfLevels(t *testing.T) {
	f := func(name string, want slog.Level, good bool) {
		t.Helper()
		got, err := ParseLevel(name)
		if got != want || (err == nil) != good {
			t.Errorf("ParseLevel(%q) = %v, %v", name, got, err)
		}
		if good && Name(got) != name {
			t.Errorf("%v is called %q, want %q", got, Name(got), name)
		}
	}
	f("debug", slog.LevelDebug, true)
	f("info", slog.LevelInfo, true)
	f("warn", slog.LevelWarn, true)
	f("error", slog.LevelError, true)
	f("loud", 0, false)
	f("", 0, false)
	if l, err := ParseLevel("DEBUG"); l != slog.LevelDebug || err != nil {
		t.Errorf("%v, %v", l, err)
	}
}

// A level that is set for a time goes back to the usual one, which changes only
// for good; the last change counts.
func TestLevelForATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var back []slog.Level
		l := newLevel(slog.LevelInfo, func(to slog.Level) { back = append(back, to) })
		is := func(want, usual slog.Level, left time.Duration) {
			t.Helper()
			synctest.Wait()
			now := l.Setting()
			if l.Level() != want || now.Level != want || now.Usual != usual || left > 0 && time.Until(now.Until) != left || left == 0 && !now.Until.IsZero() {
				t.Errorf("%v, %+v; want %v, then %v in %v", l.Level(), now, want, usual, left)
			}
		}
		is(slog.LevelInfo, slog.LevelInfo, 0)

		l.Set(slog.LevelDebug, time.Minute)
		is(slog.LevelDebug, slog.LevelInfo, time.Minute)
		time.Sleep(59 * time.Second)
		is(slog.LevelDebug, slog.LevelInfo, time.Second)
		time.Sleep(time.Second)
		is(slog.LevelInfo, slog.LevelInfo, 0)

		// A second time takes the place of the first.
		l.Set(slog.LevelDebug, time.Minute)
		time.Sleep(30 * time.Second)
		l.Set(slog.LevelError, time.Minute)
		time.Sleep(45 * time.Second)
		is(slog.LevelError, slog.LevelInfo, 15*time.Second)
		time.Sleep(15 * time.Second)
		is(slog.LevelInfo, slog.LevelInfo, 0)

		// For good ends a time.
		l.Set(slog.LevelDebug, time.Minute)
		l.Set(slog.LevelWarn, 0)
		is(slog.LevelWarn, slog.LevelWarn, 0)
		time.Sleep(2 * time.Minute)
		is(slog.LevelWarn, slog.LevelWarn, 0)
		if len(back) != 2 {
			t.Errorf("it came back %d times: %v", len(back), back)
		}
	})
}

// Who reads the log learns of a change, whatever the level is then.
func TestChangesOfTheLevelAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w bytes.Buffer
		l := Open(&w, Options{Level: slog.LevelError, JSON: true, Lines: 10})
		l.Info("not seen")
		l.Level.Set(slog.LevelDebug, time.Second)
		l.Debug("seen")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		l.Debug("not seen")
		l.Reset(slog.LevelInfo)
		l.Close()
		var got []string
		for _, line := range read(t, w.String()) {
			got = append(got, line["msg"].(string))
		}
		want := []string{"seen", "log level is back", "log level read again"}
		if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
			t.Errorf("%q, want %q", got, want)
		}
	})
}
