package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

var (
	// ErrNotFound is the error for an id, or a name, that is not there.
	ErrNotFound = errors.New("not found")
	// ErrDuplicate is the error for a key that another row has.
	ErrDuplicate = errors.New("already exists")
	// ErrUnavailable is the error for a database that is away, refuses to talk
	// to us, or does not get things done: the same call may succeed later.
	ErrUnavailable = errors.New("the configuration store is not available")
)

// outage is an ErrUnavailable with its cause in words.
//
// It keeps the text of the cause and not the cause itself: a driver's error
// may carry the whole connection configuration, password included.
type outage struct {
	cause string
	is    []error
}

// unavailable makes an outage of a cause whose text holds no secret.
func unavailable(cause error) error {
	o := &outage{cause: oneLine(cause.Error()), is: []error{ErrUnavailable}}
	for _, known := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(cause, known) {
			o.is = append(o.is, known)
		}
	}
	return o
}

// Error implements error.
func (o *outage) Error() string { return ErrUnavailable.Error() + ": " + o.cause }

// Unwrap makes an outage ErrUnavailable, and what else is known of it.
func (o *outage) Unwrap() []error { return o.is }

// oneLine joins the lines of a text, each once: pgx reports every address it
// tried on a line of its own, and every address twice when TLS is optional.
func oneLine(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.ReplaceAll(strings.Join(lines, "; "), ":; ", ": ")
}

// errNoTables is for a database that was never migrated, or taken back.
func errNoTables(detail string) error {
	return unavailable(fmt.Errorf("the tables are missing (%s); `llm-proxy migrate up` makes them", detail))
}

// faults are the errors of several rows as one.
type faults []error

// Error implements error.
func (f faults) Error() string {
	texts := make([]string, len(f))
	for i, err := range f {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns all of them.
func (f faults) Unwrap() []error { return f }

// err returns the faults as an error, or nil if there are none.
func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}
