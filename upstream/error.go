package upstream

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// Phase is what an attempt waits for.
type Phase uint8

// The phases in the order in which an attempt meets them. FirstEvent and Event
// are those of a stream, Body that of a whole answer.
const (
	Connect Phase = iota
	Write
	FirstByte
	FirstEvent
	Event
	Body
	End // of a stream whose answer is complete: only its last word is missing
)

var phaseNames = [...]string{"connect", "write", "first_byte", "first_event", "event", "body", "event"}

// String names the phase as metrics do.
func (p Phase) String() string {
	if int(p) >= len(phaseNames) {
		return "unknown"
	}
	return phaseNames[p]
}

// CancelReason says why somebody else ended an attempt.
type CancelReason uint8

// Why an attempt was cancelled; the zero value is nobody's.
const (
	NotCancelled CancelReason = iota
	ClientGone
	Deadline
	Shutdown
	Superseded // another attempt won
)

var reasonNames = [...]string{"not cancelled", "client gone", "deadline", "shutdown", "superseded"}

// String names the reason in words.
func (r CancelReason) String() string {
	if int(r) >= len(reasonNames) {
		return "unknown"
	}
	return reasonNames[r]
}

// What can be wrong beyond the network, to be asked for with errors.Is.
var (
	// ErrBusy: the provider has Settings.MaxConcurrency attempts already.
	ErrBusy = errors.New("provider has its maximum of concurrent requests")
	// ErrMalformed: the answer is not HTTP as it must be; nothing of it can be believed.
	ErrMalformed = errors.New("malformed answer")
	// ErrHeadTooLarge: the answer's head is over 64 KiB or 512 lines. It is an ErrMalformed too.
	ErrHeadTooLarge = malformed("response head too large")
	// ErrShortBody: the answer ended before its own end.
	ErrShortBody = errors.New("answer cut short")
	// ErrAddressRefused: the name resolved to an address that no provider has.
	ErrAddressRefused = errors.New("address refused")
	// ErrBadRequest: method, path, query or a header of the request holds bytes that could end a line.
	ErrBadRequest = errors.New("request line or header holds a forbidden byte")
)

// malformation is one way of being malformed.
type malformation string

func malformed(how string) error { return malformation(how) }

func (m malformation) Error() string        { return string(m) }
func (m malformation) Is(target error) bool { return target == ErrMalformed }

// Error is every error of Send and Read.
//
// Its text is for the operator's log: it holds no address, no key and nothing
// that the provider or the client said.
type Error struct {
	Phase     Phase
	Timeout   bool
	Cancelled bool
	// Reused: the connection had served an earlier request. Such a failure
	// before the first byte was already repeated on a fresh connection.
	Reused bool
	// Sent: bytes of the request left, the provider may be working on it.
	Sent   bool
	Reason CancelReason // why, if Cancelled
	Err    error
}

// Error says the phase and the cause.
func (e *Error) Error() string {
	switch {
	case e.Cancelled:
		return e.Phase.String() + ": cancelled, " + e.Reason.String()
	case e.Timeout:
		return e.Phase.String() + ": timeout"
	default:
		return e.Phase.String() + ": " + brief(e.Err)
	}
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// brief is the cause without the addresses that net puts around it.
func brief(err error) string {
	if err == nil {
		return "failed"
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return "name lookup: " + dns.Err
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return brief(op.Err)
	}
	if errors.Is(err, io.EOF) {
		return "connection closed by the provider"
	}
	return strings.TrimSpace(err.Error())
}

// isTimeout reports whether a deadline passed.
func isTimeout(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
