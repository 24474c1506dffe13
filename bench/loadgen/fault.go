package loadgen

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"os"
	"regexp"
	"syscall"
)

// What became of a request that got no right answer, beside a status other
// than 200, which has its number and the error's code. Scripts read them.
const (
	notSent      = "not sent" // no connection was free until the end
	timedOut     = "timeout"
	noConnection = "no connection"
	refused      = "no connection: refused"
	untrusted    = "no connection: certificate not trusted"
	exhausted    = "no connection: out of files or ports"
	brokenOff    = "broken off"
	noCompletion = "200, but not a completion"
	streamCut    = "200, but the stream was cut"
	streamError  = "200, with an error in the stream"
)

// dialError tells that there was no connection to ask over.
type dialError struct{ error }

func (e *dialError) Unwrap() error { return e.error }

// late reports whether the time for an answer was over.
func late(err error) bool {
	var timeout net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// note keeps why there was no whole answer.
func (x *exchange) note(err error) {
	var dial *dialError
	switch {
	case late(err):
		x.fault, x.unanswered = timedOut, true
	case errors.As(err, &dial):
		x.fault = unconnected(dial)
	default:
		x.fault = brokenOff
	}
}

// unconnected is the kind of a failed dial.
func unconnected(err error) string {
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return refused
	case errors.As(err, &certificate):
		return untrusted
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.EADDRNOTAVAIL):
		return exhausted
	}
	return noConnection
}

var plainCode = regexp.MustCompile(`^[a-z][a-z0-9_]{1,39}$`)

// errorCode is the error's code with a space before it; empty if it has none
// that looks like one.
func errorCode(body []byte) string {
	var refusal struct {
		Error struct{ Code any } // some servers have numbers
	}
	_ = json.Unmarshal(body, &refusal) // what is no JSON has no code
	code, _ := refusal.Error.Code.(string)
	if !plainCode.MatchString(code) {
		return ""
	}
	return " " + code
}
