// Command floor is the least that a reverse proxy can do with the libraries
// that llm-proxy is made of: it copies requests to one provider and answers
// back, streams as they come. No keys, limits, choice, retries, counting,
// timeouts, or a look at the body. What it costs is what sockets, HTTP and Go
// cost; nobody should serve with it.
//
//	floor -addr 127.0.0.1:8000 -provider 127.0.0.1:9000
package main

import (
	"flag"
	"log"
	"time"

	"github.com/valyala/fasthttp"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8000", "address to listen on")
	provider := flag.String("provider", "127.0.0.1:9000", "address of the provider")
	flag.Parse()

	client := &fasthttp.HostClient{
		Addr: *provider, MaxConns: 65536, MaxIdleConnDuration: time.Minute,
		StreamResponseBody: true, ConnPoolStrategy: fasthttp.LIFO,
	}
	server := &fasthttp.Server{
		Handler:            func(ctx *fasthttp.RequestCtx) { forward(ctx, client) },
		ReadBufferSize:     16 << 10,
		MaxRequestBodySize: 64 << 20,
	}
	log.Fatal(server.ListenAndServe(*addr))
}

// forward lets the client have the provider's answer, whatever it is.
func forward(ctx *fasthttp.RequestCtx, client *fasthttp.HostClient) {
	ctx.Request.Header.SetHost(client.Addr)
	if err := client.Do(&ctx.Request, &ctx.Response); err != nil {
		ctx.Error(err.Error(), fasthttp.StatusBadGateway)
	}
}
