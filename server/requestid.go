package server

import (
	"github.com/valyala/fasthttp"

	"llmproxy/openai"
)

// nameRequest sets the exchange's id: the client's own x-request-id if it is
// fit to be sent back, else a new one.
func (x *exchange) nameRequest() {
	x.id, x.clientID = appendRequestID(x.id[:0], x.ctx)
}

func appendRequestID(dst []byte, ctx *fasthttp.RequestCtx) ([]byte, bool) {
	return openai.AppendRequestID(dst, ctx.Request.Header.PeekBytes(headerRequestID))
}

// nameAnswer gives an answer that no provider made its request id.
func nameAnswer(ctx *fasthttp.RequestCtx) {
	id, _ := appendRequestID(nil, ctx)
	ctx.Response.Header.SetCanonical(headerRequestID, id)
}
