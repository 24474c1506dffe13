package admin

import (
	"math/rand/v2"
	"strconv"

	"github.com/valyala/fasthttp"
)

const headerRequestID = "X-Request-Id"

// nameRequest puts the request's id into the answer: the client's own if it is
// 1 to 128 visible ASCII characters, else a new one.
func nameRequest(ctx *fasthttp.RequestCtx) {
	id := string(ctx.Request.Header.Peek(headerRequestID))
	if !isRequestID(id) {
		id = strconv.FormatUint(rand.Uint64()|1<<63, 36) + strconv.FormatUint(rand.Uint64()|1<<63, 36)
	}
	ctx.Response.Header.Set(headerRequestID, id)
}

// requestID returns what nameRequest chose.
func requestID(ctx *fasthttp.RequestCtx) string {
	return string(ctx.Response.Header.Peek(headerRequestID))
}

func isRequestID(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return true
}
