package admin_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"llmproxy/admin"
	"llmproxy/logging"
)

// leveled starts a gateway whose log heeds the level.
func leveled(t *testing.T, usual slog.Level) (*gateway, *logging.Level) {
	t.Helper()
	level := logging.NewLevel(usual)
	logged := &journal{}
	g := start(t, func(d *admin.Deps) {
		d.LogLevel = level
		d.Log = slog.New(slog.NewJSONHandler(logged, &slog.HandlerOptions{Level: level}))
	})
	g.log = logged
	t.Cleanup(func() { level.Set(usual, 0) }) // ends the time of one that was set for it
	return g, level
}

type levelShown struct {
	Level string     `json:"level"`
	Usual string     `json:"usual_level"`
	Until *time.Time `json:"until"`
}

// The level is shown, and changes at once, for good or for a time.
func TestLogLevelChanges(t *testing.T) {
	g, level := leveled(t, slog.LevelInfo)
	is := func(a answer, now, usual string, left time.Duration) {
		t.Helper()
		var got levelShown
		a.decode(t, &got)
		if got.Level != now || got.Usual != usual || (got.Until != nil) != (left > 0) || logging.Name(level.Level()) != now {
			t.Errorf("%s, want %s and %s for %v; it is %v", a.body, now, usual, left, level.Level())
		}
		if left > 0 && (time.Until(*got.Until) > left || time.Until(*got.Until) < left/2) {
			t.Errorf("until %v, want in %v", got.Until, left)
		}
	}
	const path = "/admin/v1/log-level"
	golden(t, "log_level", g.want(200, "GET", path, ""))
	is(g.want(200, "PUT", path, `{"level":"debug","for_secs":600}`), "debug", "info", 10*time.Minute)
	is(g.want(200, "GET", path, ""), "debug", "info", 10*time.Minute)
	golden(t, "log_level_for_a_time", g.do("GET", path, ""))
	is(g.want(200, "PUT", path, `{"level":"warn","for_secs":null}`), "warn", "warn", 0)
	is(g.want(200, "PUT", path, `{"level":"ERROR"}`), "error", "error", 0)
	is(g.want(200, "GET", path, ""), "error", "error", 0)

	// Each change is in the log, whatever the level was set to.
	told := 0
	for text := range strings.Lines(g.log.String()) {
		var line map[string]any
		if json.Unmarshal([]byte(text), &line) == nil && line["msg"] == "log level changed by admin" && line["request_id"] != "" {
			told++
		}
	}
	if told != 3 {
		t.Errorf("%d of 3 changes are logged:\n%s", told, g.log)
	}
}

// A level set for a time returns by itself.
func TestLogLevelReturns(t *testing.T) {
	t.Parallel()
	g, level := leveled(t, slog.LevelWarn)
	g.want(200, "PUT", "/admin/v1/log-level", `{"level":"debug","for_secs":1}`)
	for end := time.Now().Add(20 * time.Second); level.Level() != slog.LevelWarn; {
		var got levelShown
		if g.do("GET", "/admin/v1/log-level", "").decode(t, &got); time.Now().After(end) {
			t.Fatalf("it is still %+v", got)
		}
	}
	var got levelShown
	if g.want(200, "GET", "/admin/v1/log-level", "").decode(t, &got); got != (levelShown{Level: "warn", Usual: "warn"}) {
		t.Errorf("%+v", got)
	}
}

// A body with faults changes nothing, and hears of all of them.
func TestLogLevelRefusesFaults(t *testing.T) {
	g, level := leveled(t, slog.LevelInfo)
	f := func(body, want string) {
		t.Helper()
		if got := g.want(422, "PUT", "/admin/v1/log-level", body).faults(t); got != want {
			t.Errorf("%s: faults %q, want %q", body, got, want)
		}
	}
	f(``, "body")
	f(`{}`, "level")
	f(`{"level":"loud"}`, "level")
	f(`{"level":8}`, "level")
	f(`{"level":null}`, "level")
	f(`{"level":"debug","for_secs":0}`, "for_secs")
	f(`{"level":"debug","for_secs":86401}`, "for_secs")
	f(`{"level":"debug","for_secs":-9223372036854775808}`, "for_secs")
	f(`{"level":"debug","for_secs":9223372036854775807}`, "for_secs")
	f(`{"level":"debug","for_secs":1.5}`, "for_secs")
	f(`{"level":"loud","for_secs":"x","mode":1}`, `mode for_secs level`)
	f(`{"level":"debug","level":"info"}`, "level")
	if level.Level() != slog.LevelInfo {
		t.Errorf("it was changed to %v", level.Level())
	}
}
