package upstream

// framing is how a body says where it ends.
type framing uint8

const (
	noBody     framing = iota
	sized              // Content-Length
	inChunks           // Transfer-Encoding: chunked
	untilClose         // the connection's end is the body's
)

// body knows how much of an answer's body is to come.
type body struct {
	framing framing
	done    bool
	extra   bool  // bytes came after its end
	left    int64 // of a sized body
	chunks  chunked
}

// frameBody tells how the body after a head is framed, RFC 9112 section 6.3. The
// head has been checked for contradictions.
func frameBody(status int, contentLength int64, head bool) body {
	switch {
	case head || status == 304:
		return body{done: true} // the fields describe a body that is not sent
	case status == 204:
		// No body whatever the fields say. If they announce one, the provider
		// may think that it sends one.
		return body{done: true, extra: contentLength == isChunked || contentLength > 0}
	case contentLength == isChunked:
		return body{framing: inChunks}
	case contentLength >= 0:
		return body{framing: sized, left: contentLength, done: contentLength == 0}
	default:
		return body{framing: untilClose}
	}
}

// room is how much of p may be read from the connection: never past the end of
// a sized body.
func (b *body) room(p []byte) []byte {
	if b.framing == sized && int64(len(p)) > b.left {
		return p[:b.left]
	}
	return p
}

// decode turns bytes of the connection into bytes of the body, in place.
func (b *body) decode(p []byte) (int, error) {
	switch b.framing {
	case inChunks:
		n, used, err := b.chunks.decode(p)
		b.done = b.chunks.done()
		b.extra = b.extra || used < len(p)
		return n, err
	case sized:
		n := int(min(b.left, int64(len(p))))
		b.left -= int64(n)
		b.done = b.left == 0
		b.extra = b.extra || n < len(p)
		return n, nil
	case untilClose:
		return len(p), nil
	default:
		b.extra = b.extra || len(p) > 0
		return 0, nil
	}
}

// close is told that the connection ended, and reports whether the body may
// end so.
func (b *body) close() bool {
	if b.framing == untilClose {
		b.done = true
	}
	return b.done
}

// reusable reports whether another answer can follow on the same connection.
func (b *body) reusable() bool { return b.done && !b.extra && b.framing != untilClose }

// near reports whether the body's end may be awaited by somebody who wants
// none of it: it has one, and a short rest at most is announced.
func (b *body) near() bool {
	return b.framing == inChunks || b.framing == sized && b.left <= lingerBytes
}
