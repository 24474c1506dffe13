package server

import (
	"github.com/valyala/fasthttp"
)

// credential returns the key that the request carries: Authorization with the
// Bearer scheme in any case, or api-key, or x-api-key. A request that carries
// an Authorization header is judged by it alone; anything malformed or sent
// twice is no key. The result is a view of ctx.
func credential(ctx *fasthttp.RequestCtx) []byte {
	h := &ctx.Request.Header
	if v := h.Peek(fasthttp.HeaderAuthorization); v != nil {
		if len(h.PeekAll(fasthttp.HeaderAuthorization)) > 1 {
			return nil
		}
		return bearer(v)
	}
	if v := h.Peek("Api-Key"); v != nil {
		return v
	}
	return h.Peek("X-Api-Key")
}

// bearer returns the token of a Bearer authorization; nil if it is not one.
func bearer(v []byte) []byte {
	const scheme = "bearer "
	if len(v) <= len(scheme) {
		return nil
	}
	for i := range len(scheme) {
		if v[i]|0x20 != scheme[i] {
			return nil
		}
	}
	token := v[len(scheme):]
	for _, c := range token {
		if c <= ' ' || c >= 0x7f {
			return nil
		}
	}
	return token
}
