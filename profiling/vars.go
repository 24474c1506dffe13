package profiling

import (
	"bytes"
	"expvar"
	"fmt"

	"github.com/valyala/fasthttp"
)

// hidden are the variables that are not shown: expvar publishes the command
// line by itself, and keys may be on it.
var hidden = map[string]bool{"cmdline": true}

// writeVars answers with the variables of package expvar, as its own handler
// does but for the hidden ones.
func writeVars(ctx *fasthttp.RequestCtx) {
	var b bytes.Buffer
	separator := "{\n"
	expvar.Do(func(v expvar.KeyValue) {
		if hidden[v.Key] {
			return
		}
		fmt.Fprintf(&b, "%s%q: %s", separator, v.Key, v.Value)
		separator = ",\n"
	})
	b.WriteString("\n}\n")
	ctx.SetContentType("application/json; charset=utf-8")
	ctx.Response.SetBodyRaw(b.Bytes())
}
