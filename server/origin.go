package server

import (
	"bytes"

	"github.com/valyala/fasthttp"

	"llmproxy/openai"
	"llmproxy/route"
)

// identify finds out who asks, at that time. Where no key is asked for (ALLOW_ANONYMOUS) the
// pages of other origins are refused: a browser sends a simple request for
// any page that its user visits, to the user's own machine too, and only the
// key says that the user meant it.
func identify(ctx *fasthttp.RequestCtx, table *route.Table, at int64) (*route.Caller, error) {
	caller := table.Caller(credential(ctx))
	switch {
	case table.Empty():
		return nil, openai.ErrNotReady()
	case caller == nil || caller.Expired(at):
		return nil, openai.ErrInvalidKey()
	case table.Open() && crossOrigin(&ctx.Request.Header):
		return nil, openai.ErrCrossOrigin()
	}
	return caller, nil
}

// crossOrigin reports whether a browser sends the request for a page of
// another origin. The rule is that of net/http's CrossOriginProtection: what
// Sec-Fetch-Site says or, in browsers and on addresses without it, whether the
// Origin is the Host. Programs send neither.
func crossOrigin(h *fasthttp.RequestHeader) bool {
	switch string(h.Peek("Sec-Fetch-Site")) {
	case "":
	case "same-origin", "none":
		return false
	default:
		return true
	}
	origin := h.Peek(fasthttp.HeaderOrigin)
	if len(origin) == 0 {
		return false
	}
	_, host, _ := bytes.Cut(origin, []byte("://"))
	return !bytes.EqualFold(host, h.Host())
}

// protect keeps an answer that the gateway made out of caches, and browsers
// from taking it for something else.
func protect(h *fasthttp.ResponseHeader) {
	h.Set(fasthttp.HeaderCacheControl, "no-store")
	h.Set(fasthttp.HeaderXContentTypeOptions, "nosniff")
}
