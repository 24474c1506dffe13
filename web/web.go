// Package web holds what the gateway shows to people and their tools: the
// OpenAPI description, written by hand, and the page that renders it.
//
// Everything is embedded. The page loads nothing from another origin, so it
// works without the internet, and its Content-Security-Policy says so to the
// browser. The package knows no other part of the gateway; package apitest
// holds what the others answer against the description.
package web

import (
	"embed"
	"strings"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"
)

//go:embed openapi.yaml
var openAPIYAML []byte

//go:embed ui
var ui embed.FS

// Register adds the pages to r, each for GET and HEAD. What is not there is
// answered by r.NotFound, which must be set before.
func Register(r *router.Router) {
	get := func(path string, h fasthttp.RequestHandler) {
		r.GET(path, h)
		r.HEAD(path, h)
	}
	notFound := r.NotFound
	if notFound == nil {
		notFound = func(ctx *fasthttp.RequestCtx) { ctx.Error("Not Found", fasthttp.StatusNotFound) }
	}
	r.NotFound = withAlias(notFound)
	get("/", serveIndex)
	get("/docs", serveDocs)
	get("/docs/{asset:*}", serveDocsAsset(notFound))
	get("/openapi.json", serveAsset(openAPIJSONAsset))
	get("/openapi.yaml", serveAsset(openAPIYAMLAsset))
}

// withAlias serves the page at /docs/ too. The router cannot: beside a route
// /docs it keeps that path for redirects of its own.
func withAlias(notFound fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		if string(ctx.URI().PathOriginal()) == "/docs/" && (ctx.IsGet() || ctx.IsHead()) {
			serveDocs(ctx)
			return
		}
		notFound(ctx)
	}
}

// serveIndex leads to the docs. The Location is relative: one built from the
// Host header would send a visitor wherever that header says.
func serveIndex(ctx *fasthttp.RequestCtx) {
	ctx.Response.Header.Set("Location", "/docs")
	ctx.Response.Header.Set("Cache-Control", "no-cache")
	ctx.SetStatusCode(fasthttp.StatusFound)
}

func serveDocs(ctx *fasthttp.RequestCtx) { docsPage().serve(ctx) }

func serveDocsAsset(notFound fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		name, _ := ctx.UserValue("asset").(string)
		if asset, ok := docsAssets()[name]; ok {
			asset.serve(ctx)
			return
		}
		notFound(ctx)
	}
}

func serveAsset(get func() *asset) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) { get().serve(ctx) }
}

// mustRead returns an embedded file; that it is there is decided at build time.
func mustRead(name string) []byte {
	b, err := ui.ReadFile("ui/" + name)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return b
}

// contentType tells a file's type by its name.
func contentType(name string) string {
	name = strings.TrimSuffix(name, ".gz")
	switch name[strings.LastIndexByte(name, '.')+1:] {
	case "html":
		return "text/html; charset=utf-8"
	case "css":
		return "text/css; charset=utf-8"
	case "js":
		return "text/javascript; charset=utf-8"
	case "svg":
		return "image/svg+xml"
	}
	return "text/plain; charset=utf-8"
}
