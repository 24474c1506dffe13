package apitest

import (
	"net"
	"net/http"
	"slices"
	"testing"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"

	"llmproxy/web"
)

var jsonHeader = http.Header{"Content-Type": {"application/json"}, "X-Request-Id": {"r"}}

func TestOperations(t *testing.T) {
	all := Operations()
	for _, want := range []Op{
		{"POST", "/v1/chat/completions", "createChatCompletion"},
		{"GET", "/v1/models/{id}", "getModel"},
		{"DELETE", "/admin/v1/credentials/{id}", "deleteCredential"},
	} {
		if !slices.Contains(all, want) {
			t.Errorf("%v is missing in %v", want, all)
		}
	}
	if !slices.IsSortedFunc(all, func(a, b Op) int {
		if a.Path+" "+a.Method < b.Path+" "+b.Method {
			return -1
		}
		return 1
	}) {
		t.Error("not sorted")
	}
}

func TestFind(t *testing.T) {
	f := func(method, path, id, param string) {
		t.Helper()
		r, params := find(method, path)
		if r == nil {
			if id != "" {
				t.Errorf("%s %s: not found", method, path)
			}
			return
		}
		got := params["id"] + params["asset"]
		if r.Operation.OperationID != id || got != param {
			t.Errorf("%s %s: %s with %q, want %s with %q", method, path, r.Operation.OperationID, got, id, param)
		}
	}

	f("GET", "/v1/models", "listModels", "")
	f("GET", "/v1/models/gpt-4o", "getModel", "gpt-4o")
	f("GET", "/v1/models/meta-llama/Llama-3", "getModel", "meta-llama/Llama-3")
	f("GET", "/v1/models/meta-llama%2FLlama-3", "getModel", "meta-llama/Llama-3")
	f("PATCH", "/admin/v1/providers/7", "patchProvider", "7")
	f("POST", "/admin/v1/credentials/7/rotate", "rotateCredential", "7")
	f("GET", "/admin/v1/health/providers/3", "checkProvider", "3")
	f("GET", "/docs/docs.css", "docsAsset", "docs.css")
	f("GET", "/v1/nothing", "", "")
	f("DELETE", "/v1/models", "", "")
	f("GET", "/v1/models/", "", "")
}

func TestCheckAccepts(t *testing.T) {
	v := NewValidator(t)
	f := func(x Exchange) {
		t.Helper()
		v.Check(t, x)
	}

	f(Exchange{Method: "GET", Path: "/health", Status: 200, Header: jsonHeader, Body: []byte(`{"status":"ok"}`)})
	f(Exchange{
		Method: "POST", Path: "/v1/chat/completions", RequestHeader: jsonHeader,
		RequestBody: []byte(`{"model":"m","messages":[],"stream":null,"own_field":1}`),
		Status:      200, Header: jsonHeader, Body: []byte(`{"anything":[1]}`),
	})
	f(Exchange{
		Method: "POST", Path: "/v1/chat/completions", RequestHeader: jsonHeader, RequestBody: []byte(`{"model":"m","stream":true}`),
		Status: 200, Header: http.Header{"Content-Type": {"text/event-stream; charset=utf-8"}}, Body: []byte("data: [DONE]\n\n"),
	})
	f(Exchange{ // a request that is wrong, and refused
		Method: "POST", Path: "/v1/chat/completions", RequestHeader: jsonHeader, RequestBody: []byte(`{`),
		Status: 400, Header: jsonHeader, Body: []byte(`{"error":{"message":"m","type":"invalid_request_error","param":null,"code":null}}`),
	})
	f(Exchange{ // a provider's own words
		Method: "POST", Path: "/v1/embeddings", RequestHeader: jsonHeader, RequestBody: []byte(`{"model":"m"}`),
		Status: 429, Header: jsonHeader, Body: []byte(`{"detail":"slow down"}`), Passed: true,
	})
	f(Exchange{Method: "POST", Path: "/v1/embeddings", RequestHeader: jsonHeader, Status: 418, Header: jsonHeader, Body: []byte(`x`)})
	f(Exchange{Method: "GET", Path: "/no/such/path", Status: 404, Header: jsonHeader})
	f(Exchange{
		Method: "PUT", Path: "/admin/v1/credentials/1", RequestHeader: jsonHeader, RequestBody: []byte(`{"rate_limit":null}`),
		Status: 200, Header: jsonHeader, Body: []byte(`{"version":3,"status":"updated"}`),
	})
}

func TestCheckRefuses(t *testing.T) {
	v := NewValidator(t)
	f := func(x Exchange) {
		t.Helper()
		if err := v.check(x); err == nil {
			t.Errorf("%s %s %d %s: accepted", x.Method, x.Path, x.Status, x.Body)
		}
	}

	f(Exchange{Method: "GET", Path: "/no/such/path", Status: 200, Header: jsonHeader})
	f(Exchange{Method: "GET", Path: "/health", Status: 500, Header: jsonHeader, Body: []byte(`{"status":"ok"}`)})
	f(Exchange{Method: "GET", Path: "/health", Status: 200, Header: http.Header{"Content-Type": {"text/plain"}}, Body: []byte(`ok`)})
	f(Exchange{Method: "GET", Path: "/health", Status: 200, Header: jsonHeader, Body: []byte(`{"state":"ok"}`)})
	f(Exchange{Method: "GET", Path: "/health", Status: 200, Header: jsonHeader, Body: []byte(`{"status":"ok","undescribed":1}`)})
	f(Exchange{Method: "GET", Path: "/v1/models", Status: 401, Header: jsonHeader, Body: []byte(`{"error":{"message":"no code"}}`)})
	f(Exchange{ // a list whose item has a field that nobody described
		Method: "GET", Path: "/v1/models", Status: 200, Header: jsonHeader,
		Body: []byte(`{"object":"list","data":[{"id":"m","object":"model","created":1,"owned_by":"x","secret":"y"}]}`),
	})
	f(Exchange{ // accepted although the field is unknown
		Method: "POST", Path: "/admin/v1/credentials", RequestHeader: jsonHeader, RequestBody: []byte(`{"name":"n","rate":1}`),
		Status: 201, Header: jsonHeader,
		Body: []byte(`{"version":1,"credential":{"id":1,"name":"n","key_preview":"p","allowed_models":[],"rate_limit":null,"tpm_limit":null,"budget_usd":0.5,"budget_period":"day","max_concurrency":null,"expires_at":null,"is_enabled":true,"created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}}`),
	})
	f(Exchange{ // accepted although the id is no number
		Method: "DELETE", Path: "/admin/v1/providers/x", Status: 200, Header: jsonHeader, Body: []byte(`{"version":1,"status":"deleted"}`),
	})
}

// The docs' own answers, over a socket, through the checking client.
func TestClientChecksDocs(t *testing.T) {
	r := router.New()
	r.RedirectTrailingSlash, r.RedirectFixedPath = false, false
	web.Register(r)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &fasthttp.Server{Handler: r.Handler}
	done := make(chan error, 1)
	go func() { done <- s.Serve(listener) }()
	t.Cleanup(func() {
		_ = s.Shutdown()
		<-done
	})
	client := NewValidator(t).Client(t)
	for _, path := range []string{"/", "/docs", "/docs/docs.css", "/docs/docs.js", "/docs/icon.svg", "/docs/LICENSES", "/openapi.json", "/openapi.yaml"} {
		res, err := client.Get("http://" + listener.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode >= 400 {
			t.Errorf("GET %s: %d", path, res.StatusCode)
		}
	}
}
