package apitest

import (
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"

	"llmproxy/web"
)

// Op is one operation of the description.
type Op struct {
	Method string // "GET"
	Path   string // as described: "/v1/models/{id}"
	ID     string // operationId
}

// Operations returns every operation of the description, by path and method.
// HEAD is not described: it is answered wherever GET of a page is.
func Operations() []Op {
	var all []Op
	for path, item := range description().Paths.Map() {
		for method, op := range item.Operations() {
			all = append(all, Op{Method: method, Path: path, ID: op.OperationID})
		}
	}
	slices.SortFunc(all, func(a, b Op) int {
		return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method)
	})
	return all
}

// description is the parsed document, made strict. It is shared and read only.
var description = sync.OnceValue(func() *openapi3.T {
	doc, err := openapi3.NewLoader().LoadFromData(web.OpenAPIJSON())
	if err != nil {
		panic("BUG: openapi.yaml: " + err.Error())
	}
	for _, schema := range doc.Components.Schemas {
		closeObject(schema)
	}
	return doc
})

// closeObject forbids fields that the schema does not name, unless it says
// that there may be others. The published description leaves objects open, so
// that clients bear new fields; here a field nobody described is a fault.
func closeObject(ref *openapi3.SchemaRef) {
	if ref == nil || ref.Ref != "" && ref.Value == nil {
		return
	}
	schema := ref.Value
	if open := schema.AdditionalProperties; len(schema.Properties) > 0 && open.Has == nil && open.Schema == nil {
		no := false
		schema.AdditionalProperties.Has = &no
	}
	for _, property := range schema.Properties {
		if property.Ref == "" {
			closeObject(property)
		}
	}
	if schema.Items != nil && schema.Items.Ref == "" {
		closeObject(schema.Items)
	}
}

// find returns the operation that serves a request, and its path parameters.
// A described path beats one with a parameter. Parameters at the end take the
// whole rest of the path, slashes included, as the gateway's own routes do.
func find(method, path string) (*routers.Route, map[string]string) {
	doc := description()
	if path == "/docs/" { // an alias that is served, and not described twice
		path = "/docs"
	}
	if item := doc.Paths.Value(path); item != nil {
		return route(doc, item, method, path), nil
	}
	for _, described := range doc.Paths.InMatchingOrder() {
		params, ok := match(described, path)
		if !ok {
			continue
		}
		if r := route(doc, doc.Paths.Value(described), method, described); r != nil {
			return r, params
		}
	}
	return nil, nil
}

func route(doc *openapi3.T, item *openapi3.PathItem, method, path string) *routers.Route {
	op := item.GetOperation(method)
	if op == nil {
		return nil
	}
	return &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: op}
}

// match holds a path against a described one with parameters.
func match(described, path string) (map[string]string, bool) {
	params := map[string]string{}
	for {
		fixed, rest, found := strings.Cut(described, "{")
		if !strings.HasPrefix(path, fixed) {
			return nil, false
		}
		path = path[len(fixed):]
		if !found {
			return params, path == ""
		}
		name, after, _ := strings.Cut(rest, "}")
		end := len(path)
		if after != "" {
			end = strings.IndexByte(path+"/", '/')
		}
		value, err := url.PathUnescape(path[:end])
		if value == "" || err != nil {
			return nil, false
		}
		params[name], path, described = value, path[end:], after
	}
}
