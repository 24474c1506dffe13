package openai

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// Error is an error of the gateway's own in OpenAI's shape. It has two
// readers: the client sees Status, Type, Code, Param, Message and RetryAfter;
// the log sees Cause as well. No message ever quotes a key, and what a client
// sent is quoted shortened.
type Error struct {
	Status  int    // of the HTTP answer
	Type    string // as SDKs know them: invalid_request_error, rate_limit_error, …
	Code    string // "" is null
	Param   string // the member of the body that is at fault; "" is null
	Message string

	RetryAfter time.Duration // 0: the client is not told when to come back
	Cause      error         // for the log alone; may be nil
}

// Error is for the log: it includes the cause.
func (e *Error) Error() string {
	text := strconv.Itoa(e.Status) + " " + e.Type
	if e.Code != "" {
		text += "/" + e.Code
	}
	text += ": " + e.Message
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// AppendJSON appends the body of the answer, an object with the one member
// "error".
func (e *Error) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"error":{"message":`...)
	dst = AppendString(dst, e.Message)
	dst = append(dst, `,"type":`...)
	dst = AppendString(dst, e.Type)
	dst = append(dst, `,"param":`...)
	dst = appendNullable(dst, e.Param)
	dst = append(dst, `,"code":`...)
	dst = appendNullable(dst, e.Code)
	return append(dst, "}}"...)
}

// AppendEvent appends the error as the last event of a stream. Its form is
// exact: some SDKs see an error only in data that begins with {"error":
func (e *Error) AppendEvent(dst []byte) []byte {
	dst = append(dst, "data: "...)
	dst = e.AppendJSON(dst)
	return append(dst, "\n\n"...)
}

func appendNullable(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "null"...)
	}
	return AppendString(dst, s)
}

// AppendString appends s as a JSON string with its quotes. What is not UTF-8
// becomes U+FFFD.
func AppendString[S ~string | ~[]byte](dst []byte, s S) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		b := s[i]
		switch {
		case b < ' ' || b == '"' || b == '\\':
			dst = appendEscape(dst, b)
			i++
		case b < utf8.RuneSelf:
			dst = append(dst, b)
			i++
		default:
			r, width := utf8.DecodeRuneInString(string(s[i:min(len(s), i+utf8.UTFMax)]))
			dst = utf8.AppendRune(dst, r)
			i += width
		}
	}
	return append(dst, '"')
}

func appendEscape(dst []byte, b byte) []byte {
	switch b {
	case '"', '\\':
		return append(dst, '\\', b)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', '0', '0', hex[b>>4], hex[b&0xf])
}

// maxQuoted bounds what a message quotes of a request.
const maxQuoted = 128

// shorten cuts s to at most maxQuoted bytes, between two characters.
func shorten(s string) string {
	const dots = "…"
	if len(s) <= maxQuoted {
		return s
	}
	n := maxQuoted - len(dots)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + dots
}
