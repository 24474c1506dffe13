package server

import (
	"math/rand/v2"

	"github.com/valyala/fasthttp"
)

// nameRequest sets the exchange's id: the client's own x-request-id if it is
// fit to be sent back, else a new one.
func (x *exchange) nameRequest() {
	x.id, x.clientID = appendRequestID(x.id[:0], x.ctx)
}

// appendRequestID appends the client's x-request-id and true, if it is 1 to
// 128 printable ASCII characters; else 128 random bits in hex and false. An id
// made here need not be secret, only different.
func appendRequestID(dst []byte, ctx *fasthttp.RequestCtx) ([]byte, bool) {
	id := ctx.Request.Header.Peek("X-Request-Id")
	if fitRequestID(id) {
		return append(dst, id...), true
	}
	const digits = "0123456789abcdef"
	for range 2 {
		for bits, i := rand.Uint64(), 0; i < 16; i++ {
			dst = append(dst, digits[bits&15])
			bits >>= 4
		}
	}
	return dst, false
}

func fitRequestID(id []byte) bool {
	if len(id) == 0 || len(id) > 128 {
		return false
	}
	for _, c := range id {
		if c < 0x21 || c > 0x7e {
			return false
		}
	}
	return true
}
