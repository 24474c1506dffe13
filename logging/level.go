package logging

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// names are those of the levels in settings and answers.
var names = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

// Name is a level as settings and answers write it.
func Name(l slog.Level) string { return strings.ToLower(l.String()) }

// ParseLevel reads a level's name, in letters of any case.
func ParseLevel(name string) (slog.Level, error) {
	l, ok := names[strings.ToLower(name)]
	if !ok {
		return 0, errors.New("must be one of debug, info, warn, error")
	}
	return l, nil
}

// Level is the least level that is logged. It changes for good, or for a time
// after which the one before returns. Its methods may be called from any
// goroutine; Level takes no lock.
type Level struct {
	now      slog.LevelVar
	returned func(slog.Level) // is told when a time is over

	changing sync.Mutex // guards what follows, and the order of changes of now
	usual    slog.Level // what is returned to
	until    time.Time  // of a level for a time; zero: the usual one is set
	timer    *time.Timer
}

// NewLevel returns a Level that stands alone, without a Log.
func NewLevel(l slog.Level) *Level { return newLevel(l, func(slog.Level) {}) }

func newLevel(usual slog.Level, returned func(slog.Level)) *Level {
	l := &Level{usual: usual, returned: returned}
	l.now.Set(usual)
	return l
}

// Level implements slog.Leveler.
func (l *Level) Level() slog.Level { return l.now.Level() }

// Setting is what a Level is set to.
type Setting struct {
	Level slog.Level
	Usual slog.Level // the level that returns at Until
	Until time.Time  // zero: for good; Usual is Level then
}

// Setting returns what the level is set to now.
func (l *Level) Setting() Setting {
	l.changing.Lock()
	defer l.changing.Unlock()
	return Setting{l.now.Level(), l.usual, l.until}
}

// Set sets the level, for good or, if d is not 0, for that time. It takes the
// place of one that was set for a time, which does not return.
func (l *Level) Set(to slog.Level, d time.Duration) Setting {
	l.changing.Lock()
	defer l.changing.Unlock()
	l.stopLocked()
	l.now.Set(to)
	if d > 0 {
		l.until = time.Now().Add(d)
		until := l.until
		l.timer = time.AfterFunc(d, func() { l.giveBack(until) })
	} else {
		l.usual = to
	}
	return Setting{to, l.usual, l.until}
}

// giveBack ends the time that lasts until then, unless another change came
// before it.
func (l *Level) giveBack(until time.Time) {
	l.changing.Lock()
	over := l.until == until
	if over {
		l.stopLocked()
		l.now.Set(l.usual)
	}
	usual := l.usual
	l.changing.Unlock()
	if over {
		l.returned(usual)
	}
}

// stop ends the timer. The level stays.
func (l *Level) stop() {
	l.changing.Lock()
	defer l.changing.Unlock()
	l.stopLocked()
}

func (l *Level) stopLocked() {
	if l.timer != nil {
		l.timer.Stop()
	}
	l.timer, l.until = nil, time.Time{}
}
