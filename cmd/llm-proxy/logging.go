package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"llmproxy/config"
	"llmproxy/logging"
)

// openLog returns the process's log. Its Close writes what waits.
func openLog(o *config.Options, w io.Writer) *logging.Log {
	// A log whose reader has gone must not end the process; lines are lost then.
	signal.Ignore(syscall.SIGPIPE)
	return logging.Open(w, logging.Options{Level: o.LogLevel, JSON: o.LogFormat == "json", Lines: o.LogQueue})
}

// heedLog shows what the log loses, and lets the Admin API set its level.
func (g *gateway) heedLog(l *logging.Log) {
	g.logLevel = l.Level
	l.OnLost(g.metrics.LimitHits("log_queue").Inc)
}

// reread reads the settings again, from where the process was given them.
type reread func() (*config.Options, error)

// settingsOf are those of the arguments and the environment that lookup has; of
// these only .env can have changed since.
func settingsOf(args []string, lookup func(string) (string, bool)) reread {
	return func() (*config.Options, error) {
		lookup, err := config.DotEnv(dotEnv, lookup)
		if err != nil {
			return nil, err
		}
		return config.ParseOptions(args, lookup, io.Discard)
	}
}

// takeHangups takes SIGHUP, which would end the process; give ends that.
func takeHangups() (hangups <-chan os.Signal, give func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}

// heedHangups sets the log's level to that of the settings at each SIGHUP,
// until ctx ends. Other settings need a restart; faults in them keep the level.
func heedHangups(ctx context.Context, hangups <-chan os.Signal, l *logging.Log, again reread) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
		}
		o, err := again()
		if err != nil {
			l.Error("log level not read again", "error", err)
			continue
		}
		l.Reset(o.LogLevel)
	}
}
