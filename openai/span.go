package openai

// Span is a half-open range of bytes in a body. The zero Span is one of a
// value that is absent: no JSON value is empty.
type Span struct{ Start, End int }

// Present reports whether there is such a value.
func (s Span) Present() bool { return s.End > s.Start }

// Of returns the bytes of the span in the body it was made from.
func (s Span) Of(body []byte) []byte { return body[s.Start:s.End] }
