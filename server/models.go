package server

import (
	"net/url"
	"strconv"

	"github.com/valyala/fasthttp"

	"llmproxy/openai"
	"llmproxy/route"
)

// listModels serves GET /v1/models: the models that the key may use, sorted.
func (s *Server) listModels(ctx *fasthttp.RequestCtx, caller *route.Caller, table *route.Table) error {
	b := []byte(`{"object":"list","data":[`)
	start := len(b)
	for _, name := range s.catalog.names(table) {
		if !caller.Allows([]byte(name)) {
			continue
		}
		if len(b) > start {
			b = append(b, ',')
		}
		b = appendModel(b, table, name)
	}
	writeJSON(ctx, append(b, "]}"...))
	return nil
}

// getModel serves GET /v1/models/{id}. Ids may contain slashes, escaped or not.
func (s *Server) getModel(ctx *fasthttp.RequestCtx, caller *route.Caller, table *route.Table) error {
	id, _ := ctx.UserValue("id").(string)
	if plain, err := url.PathUnescape(id); err == nil {
		id = plain
	}
	public := table.Public([]byte(id))
	if !caller.Allows(public) || !s.catalog.has(table, string(public)) {
		return openai.ErrModelNotFound(id)
	}
	writeJSON(ctx, appendModel(nil, table, string(public)))
	return nil
}

// appendModel appends OpenAI's model object.
func appendModel(b []byte, table *route.Table, name string) []byte {
	b = append(b, `{"id":`...)
	b = openai.AppendString(b, name)
	b = append(b, `,"object":"model","created":`...)
	b = strconv.AppendInt(b, table.Route([]byte(name)).Created.Unix(), 10)
	return append(b, `,"owned_by":"llm-proxy"}`...)
}

func writeJSON(ctx *fasthttp.RequestCtx, body []byte) {
	protect(&ctx.Response.Header)
	ctx.SetContentType("application/json")
	ctx.Response.SetBodyRaw(body)
}
