// Package logging is the log of the process: lines of JSON or text that wait in
// a bounded queue for their writer, and a level that changes while it serves.
//
// Who logs formats the line and hands over bytes. A record that another
// goroutine formats would have to be copied with all that it names, because the
// buffers of a request serve the next one by then; and bytes are what can be
// counted and bounded. What the package knows of a line is its level.
//
// Lock order: queue has none; a Level's mutex is a leaf.
package logging

import (
	"context"
	"io"
	"log/slog"
	"time"
)

// Options are those of a Log.
type Options struct {
	Level slog.Level
	JSON  bool // else text
	Lines int  // that may wait; more are lost, and counted
}

// Log is a logger whose lines are written by a goroutine of its own. Logging
// never waits and never fails, whatever becomes of the writer. Its methods may
// be called from any goroutine.
type Log struct {
	*slog.Logger
	Level *Level
	queue *queue
}

// Open returns a Log that writes to w, a line each Write, until Close.
func Open(w io.Writer, o Options) *Log {
	l := &Log{}
	l.Level = newLevel(o.Level, l.returned)
	l.queue = newQueue(w, newHandler(w, o.JSON, slog.LevelDebug), o.Lines)
	l.Logger = slog.New(newHandler(l.queue, o.JSON, l.Level))
	return l
}

func newHandler(w io.Writer, json bool, level slog.Leveler) slog.Handler {
	options := &slog.HandlerOptions{Level: level}
	if json {
		return slog.NewJSONHandler(w, options)
	}
	return slog.NewTextHandler(w, options)
}

// returned tells that a level that was set for a time is over.
func (l *Log) returned(to slog.Level) { l.announce("log level is back", to) }

// Reset sets the level for good and tells so, whatever level that is.
func (l *Log) Reset(to slog.Level) {
	l.Level.Set(to, 0)
	l.announce("log level read again", to)
}

func (l *Log) announce(message string, level slog.Level) {
	l.Log(context.Background(), max(level, slog.LevelInfo), message, "log_level", Name(level))
}

// OnLost has f called for each line that is lost from now on. f must not block.
func (l *Log) OnLost(f func()) { l.queue.onLost.Store(&f) }

// lastLines is how long an end waits for a writer that takes nothing.
const lastLines = time.Second

// Close writes what waits, for a second at most. Lines that come after it are lost.
func (l *Log) Close() {
	l.Level.stop()
	l.queue.close(lastLines)
}
