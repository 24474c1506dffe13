package admin

import (
	"context"
	"log/slog"
	"time"

	"llmproxy/config"
	"llmproxy/logging"
)

// maxLevelTime is for how long a level may be set that returns by itself.
const maxLevelTime = 24 * time.Hour

// levelChange is what a body about the log's level says.
type levelChange struct {
	name    string
	seconds *int64 // nil: for good
}

var levelFields = []field[levelChange]{
	{"level", true, readString(func(c *levelChange) *string { return &c.name })},
	{"for_secs", false, readLimit(func(c *levelChange) **int64 { return &c.seconds })},
}

func checkLevelFields(c *levelChange) (problems config.Problems) {
	if _, err := logging.ParseLevel(c.name); err != nil {
		problems = append(problems, config.Problem{Field: "level", Message: err.Error()})
	}
	if s := c.seconds; s != nil && (*s < 1 || *s > int64(maxLevelTime/time.Second)) {
		problems = append(problems, config.Problem{Field: "for_secs", Message: "must be from 1 to 86400, or null"})
	}
	return problems
}

// levelAnswer is the log's level as answers show it.
type levelAnswer struct {
	Level string     `json:"level"`
	Usual string     `json:"usual_level"` // which returns
	Until *time.Time `json:"until"`       // null: Level is the usual one
}

func viewLevel(s logging.Setting) levelAnswer {
	v := levelAnswer{Level: logging.Name(s.Level), Usual: logging.Name(s.Usual)}
	if !s.Until.IsZero() {
		until := s.Until.UTC().Truncate(time.Millisecond)
		v.Until = &until
	}
	return v
}

// showLogLevel answers GET /admin/v1/log-level.
func (a *API) showLogLevel(*call) (int, any, error) {
	return 200, viewLevel(a.LogLevel.Setting()), nil
}

// changeLogLevel answers PUT /admin/v1/log-level: this instance's, for good or
// for a time. It is not kept over a restart.
func (a *API) changeLogLevel(x *call) (int, any, error) {
	body, err := readBody(x.http, a.MaxBody)
	if err != nil {
		return 0, nil, err
	}
	var c levelChange
	d := parse(body, levelFields)
	d.require()
	if problems := d.judge(&c, checkLevelFields); len(problems) > 0 {
		return 0, nil, problems
	}
	level, _ := logging.ParseLevel(c.name) // which checkLevelFields has read
	var seconds int64
	if c.seconds != nil {
		seconds = *c.seconds
	}
	set := a.LogLevel.Set(level, time.Duration(seconds)*time.Second)
	// Who reads the log sees it, whatever the level is now.
	a.Log.Log(context.Background(), max(level, slog.LevelInfo), "log level changed by admin",
		"log_level", logging.Name(level), "for_secs", seconds, "request_id", x.id)
	return 200, viewLevel(set), nil
}
