package upstream

import (
	"bytes"
	"iter"
	"math"
)

// Header is the fields of an answer's head, as the provider wrote them. What
// its methods return are views of it, valid until it is Reset.
type Header struct {
	raw    []byte  // the whole head
	fields []field // in raw
	length int64   // of the body: Content-Length; chunked or unknown
	close  bool    // the connection carries no other request
}

// What Header.length says when there is no Content-Length.
const (
	isChunked = -1
	isUnknown = -2
)

// field is where a field stands in the head: its name, and its value without
// the space around it.
type field struct{ name, colon, value, end int32 }

// All goes over names, in the provider's own letters, and values.
func (h *Header) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for _, f := range h.fields {
			if !yield(h.raw[f.name:f.colon], h.raw[f.value:f.end]) {
				return
			}
		}
	}
}

// Value returns the value of the first field of this name, which is written in
// lower case here and in any there; nil if there is none.
func (h *Header) Value(name string) []byte {
	for _, f := range h.fields {
		if EqualFold(h.raw[f.name:f.colon], name) {
			return h.raw[f.value:f.end]
		}
	}
	return nil
}

// CopyTo makes to a copy, with bytes of its own.
func (h *Header) CopyTo(to *Header) {
	to.raw, to.fields = append(to.raw[:0], h.raw...), append(to.fields[:0], h.fields...)
	to.length, to.close = h.length, h.close
}

// Reset empties h and keeps its memory, unless a large head had it grow.
func (h *Header) Reset() {
	if cap(h.raw) > 2*bufferSizes[0] {
		*h = Header{}
	}
	h.raw, h.fields = h.raw[:0], h.fields[:0]
	h.length, h.close = isUnknown, false
}

// drop takes all fields of a name out.
func (h *Header) drop(name string) {
	kept := h.fields[:0]
	for _, f := range h.fields {
		if !EqualFold(h.raw[f.name:f.colon], name) {
			kept = append(kept, f)
		}
	}
	h.fields = kept
}

// EqualFold compares an ASCII name with a lower-case one.
func EqualFold[T string | []byte](name T, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// trimmed narrows start and end in b to what lies within the optional white
// space around a field's value (RFC 9110, 5.5).
func trimmed(b []byte, start, end int) (int, int) {
	for start < end && (b[start] == ' ' || b[start] == '\t') {
		start++
	}
	for end > start && (b[end-1] == ' ' || b[end-1] == '\t') {
		end--
	}
	return start, end
}

// parseLength reads a Content-Length: digits and nothing else.
func parseLength(v []byte) (n int64, ok bool) {
	if len(v) == 0 {
		return 0, false
	}
	for _, d := range v {
		if d < '0' || d > '9' || n > (math.MaxInt64-9)/10 {
			return 0, false
		}
		n = n*10 + int64(d-'0')
	}
	return n, true
}

// hasToken reports whether a list such as Connection's has the token, which is
// in lower case here.
func hasToken(list []byte, token string) bool {
	for len(list) > 0 {
		item := list
		if i := bytes.IndexByte(list, ','); i >= 0 {
			item, list = list[:i], list[i+1:]
		} else {
			list = nil
		}
		if start, end := trimmed(item, 0, len(item)); EqualFold(item[start:end], token) {
			return true
		}
	}
	return false
}
