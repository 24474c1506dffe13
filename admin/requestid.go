package admin

import (
	"github.com/valyala/fasthttp"

	"llmproxy/openai"
)

const headerRequestID = "X-Request-Id"

// nameRequest puts the request's id into the answer.
func nameRequest(ctx *fasthttp.RequestCtx) {
	id, _ := openai.AppendRequestID(nil, ctx.Request.Header.Peek(headerRequestID))
	ctx.Response.Header.SetBytesV(headerRequestID, id)
}

// requestID returns what nameRequest chose.
func requestID(ctx *fasthttp.RequestCtx) string {
	return string(ctx.Response.Header.Peek(headerRequestID))
}
