package admin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"llmproxy/admin"
	"llmproxy/config"
	"llmproxy/downstream"
	"llmproxy/store"
)

func TestBodiesThatAreTooLarge(t *testing.T) {
	// As the gateway does: the answer must not be lost to a reset.
	g := startBehind(t, func(ln net.Listener) net.Listener {
		return downstream.NewListener(ln, downstream.Options{WriteTimeout: 5 * time.Second})
	})
	golden(t, "too_large", g.want(413, "POST", "/admin/v1/providers", `{"provider_key":"`+strings.Repeat("x", 64<<10)+`"}`))

	// Declared, and begun: the answer does not wait for the rest.
	head := "POST /admin/v1/providers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + adminKey + "\r\n"
	if got := rawStatus(t, g.addr, head+"Content-Length: 1000000000\r\n\r\n"+strings.Repeat(" ", 16<<10)); got != 413 {
		t.Errorf("a declared gigabyte: %d, want 413", got)
	}
	// Chunked: nobody knows its length before.
	req, err := http.NewRequest("POST", g.url+"/admin/v1/providers", io.MultiReader(strings.NewReader("{"), strings.NewReader(strings.Repeat(" ", 1<<20))))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+adminKey)
	if got := g.send(req); got.status != 413 {
		t.Errorf("a chunked megabyte: %d %s, want 413", got.status, got.body)
	}
	// As large as may be.
	g.want(422, "POST", "/admin/v1/providers", strings.Repeat(" ", 64<<10))
}

func TestChunkedBodyThatFits(t *testing.T) {
	g := start(t)
	req, err := http.NewRequest("POST", g.url+"/admin/v1/providers", io.MultiReader(strings.NewReader(seedProvider[:20]), strings.NewReader(seedProvider[20:])))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+adminKey)
	if got := g.send(req); got.status != 201 {
		t.Errorf("%d %s, want 201", got.status, got.body)
	}
}

func TestEncodedBody(t *testing.T) {
	g := start(t)
	golden(t, "encoded", g.want(415, "POST", "/admin/v1/providers", seedProvider, "Content-Encoding: gzip"))
	g.want(201, "POST", "/admin/v1/providers", seedProvider, "Content-Encoding: identity", "Content-Type: text/plain")
}

// broken is a store that is away, in one way or another.
type broken struct {
	store.Store
	err error // nil: it hangs until the caller has had enough
}

func (b broken) fail(ctx context.Context) error {
	if b.err != nil {
		return b.err
	}
	<-ctx.Done()
	return fmt.Errorf("%w: %w", store.ErrUnavailable, ctx.Err())
}

func (b broken) Version(ctx context.Context) (int64, time.Time, error) {
	return 0, time.Time{}, b.fail(ctx)
}

func (b broken) Providers(ctx context.Context) ([]config.Provider, int64, error) {
	return nil, 0, b.fail(ctx)
}

func (b broken) Provider(ctx context.Context, _ int64) (config.Provider, int64, error) {
	return config.Provider{}, 0, b.fail(ctx)
}

func (b broken) AddProvider(ctx context.Context, _ *config.Provider) (int64, error) {
	return 0, b.fail(ctx)
}

func (b broken) ChangeProvider(ctx context.Context, _ int64, _ func(*config.Provider) error) (int64, error) {
	return 0, b.fail(ctx)
}

func (b broken) RemoveProvider(ctx context.Context, _ int64) (int64, error) { return 0, b.fail(ctx) }

func (b broken) Credentials(ctx context.Context) ([]config.Credential, int64, error) {
	return nil, 0, b.fail(ctx)
}

func (b broken) Credential(ctx context.Context, _ int64) (config.Credential, int64, error) {
	return config.Credential{}, 0, b.fail(ctx)
}

func (b broken) AddCredential(ctx context.Context, _ *config.Credential) (int64, error) {
	return 0, b.fail(ctx)
}

func (b broken) ChangeCredential(ctx context.Context, _ int64, _ func(*config.Credential) error) (int64, error) {
	return 0, b.fail(ctx)
}

func (b broken) RemoveCredential(ctx context.Context, _ int64) (int64, error) { return 0, b.fail(ctx) }

// TestStoreThatIsAway: every request that needs the store is answered 503.
func TestStoreThatIsAway(t *testing.T) {
	away := fmt.Errorf("%w: connection refused", store.ErrUnavailable)
	g := start(t, func(d *admin.Deps) {
		d.Store = broken{err: away}
		d.Reload = func(context.Context) (admin.Applied, error) { return admin.Applied{}, away }
	})
	for _, path := range everyPath[1:16] {
		method, path, _ := strings.Cut(path, " ")
		body := ""
		switch {
		case method == "POST" && strings.HasSuffix(path, "providers"):
			body = seedProvider
		case method == "POST" && strings.HasSuffix(path, "credentials"):
			body = `{"name":"x"}`
		case method == "PUT" || method == "PATCH":
			body = `{"is_enabled":false}`
		}
		got := g.want(503, method, path, body)
		golden(t, "store_away", got)
	}
	g.want(200, "POST", "/admin/v1/auth/validate", "")
	g.want(200, "POST", "/admin/v1/health/check", "")
	if !strings.Contains(g.log.String(), "connection refused") {
		t.Errorf("the log does not say why:\n%s", g.log)
	}
}

// TestStoreThatHangs (R41): the answer comes within two seconds.
func TestStoreThatHangs(t *testing.T) {
	t.Parallel()
	g := start(t, func(d *admin.Deps) { d.Store = broken{} })
	before := time.Now()
	g.want(503, "POST", "/admin/v1/providers", seedProvider)
	if took := time.Since(before); took > 4*time.Second { // the other two are a busy machine's
		t.Errorf("answered after %v, want 2s", took)
	}
}

// TestRowThatCannotBeRead: the admin learns which one.
func TestRowThatCannotBeRead(t *testing.T) {
	g := start(t, func(d *admin.Deps) {
		d.Store = broken{err: errors.New(`provider "x" (id 3): model_mapping: must be an object`)}
		d.Reload = func(context.Context) (admin.Applied, error) {
			return admin.Applied{}, errors.New(`provider "x" (id 3): model_mapping: must be an object`)
		}
	})
	golden(t, "row_unreadable", g.want(500, "GET", "/admin/v1/providers", ""))
	golden(t, "reload_unreadable", g.want(422, "POST", "/admin/v1/config/reload", ""))
}

// TestWriteThatDoesNotServe: what is saved cannot be taken back, so the answer
// says both, and a made key is not lost.
func TestWriteThatDoesNotServe(t *testing.T) {
	refuse := config.Problems{{Field: "providers[old].weight", Message: "must be a whole number from 0 to 1000000"}}
	type reload = func(context.Context) (admin.Applied, error)
	var reloads atomic.Pointer[reload]
	answer := func(r reload) { reloads.Store(&r) }
	g := start(t, func(d *admin.Deps) {
		d.Reload = func(ctx context.Context) (admin.Applied, error) { return (*reloads.Load())(ctx) }
	})
	answer(func(context.Context) (admin.Applied, error) { return admin.Applied{}, refuse })
	golden(t, "unserved_provider", g.want(503, "POST", "/admin/v1/providers", seedProvider))
	made := g.want(503, "POST", "/admin/v1/credentials", `{"name":"x"}`)
	golden(t, "unserved_credential", made)
	madeKey(t, made)
	golden(t, "reload_refused", g.want(422, "POST", "/admin/v1/config/reload", ""))

	answer(func(context.Context) (admin.Applied, error) { return admin.Applied{}, store.ErrUnavailable })
	golden(t, "unserved_update", g.want(503, "PATCH", "/admin/v1/providers/1", `{"weight":2}`))

	answer(func(context.Context) (admin.Applied, error) { return admin.Applied{Version: 2}, nil })
	golden(t, "unserved_old", g.want(503, "DELETE", "/admin/v1/providers/1", ""))

	answer(g.reload)
	g.want(200, "PATCH", "/admin/v1/credentials/1", `{"rate_limit":1}`)
}

// TestPanicIsAnswered: fasthttp would end the process.
func TestPanicIsAnswered(t *testing.T) {
	g := start(t, func(d *admin.Deps) {
		d.Reload = func(context.Context) (admin.Applied, error) { panic("CANARY in a panic") }
	})
	golden(t, "panic", g.want(500, "POST", "/admin/v1/config/reload", ""))
	g.want(200, "GET", "/admin/v1/config/version", "")
	if log := g.log.String(); !strings.Contains(log, "panicked") || strings.Contains(log, "CANARY") {
		t.Errorf("the log of a panic:\n%s", log)
	}
}

func TestReloadAndVersion(t *testing.T) {
	g := start(t)
	golden(t, "version", g.want(200, "GET", "/admin/v1/config/version", ""))
	g.want(201, "POST", "/admin/v1/providers", seedProvider)
	g.want(201, "POST", "/admin/v1/credentials", `{"name":"x"}`)
	golden(t, "reloaded", g.want(200, "POST", "/admin/v1/config/reload", ""))

	// What another instance wrote serves after a reload.
	p := config.Provider{Key: "other", Type: "openai", APIBase: "http://x", Enabled: true}
	if _, err := g.store.AddProvider(context.Background(), &p); err != nil {
		t.Fatal(err)
	}
	if len(g.serving().Providers) != 1 {
		t.Fatal("it serves before the reload")
	}
	g.want(200, "POST", "/admin/v1/config/reload", "")
	if len(g.serving().Providers) != 2 {
		t.Error("it does not serve after the reload")
	}

	// A row that does not validate is named, and the old configuration stays.
	p = config.Provider{Key: "bad key", Type: "openai", APIBase: "http://x", Enabled: true}
	if _, err := g.store.AddProvider(context.Background(), &p); err != nil {
		t.Fatal(err)
	}
	if got := g.want(422, "POST", "/admin/v1/config/reload", "").faults(t); got != "providers[2].provider_key" {
		t.Errorf("faults %q", got)
	}
	if len(g.serving().Providers) != 2 {
		t.Error("a refused configuration serves")
	}
	// It is mended by the same API.
	g.want(200, "PATCH", "/admin/v1/providers/3", `{"provider_key":"good"}`)
	if len(g.serving().Providers) != 3 {
		t.Error("the mended configuration does not serve")
	}
}

// TestNothingSecretIsTold: keys appear in no answer but the one that made
// them, and in no line of the log.
func TestNothingSecretIsTold(t *testing.T) {
	g := start(t)
	const client = "CANARY-client-key-31415"
	bodies := []string{
		"",
		seedProvider, seedProvider, // the second is a duplicate
		`{"provider_key":"CANARY x","api_base":"http://CANARY:CANARY@x","api_key":"CANARY\n","provider_params":{"idle_timeout_ms":"CANARY"},"weight":"CANARY"}`,
		`{"key":"` + client + `","name":"x","rate_limit":"CANARY","allowed_models":["CANARY\n"]}`,
		`{"key":"` + client + `","name":"x"}`,
		`{"key":"` + client + `","name":"y"}`,
		`{"api_key":"CANARY-sk-2","model_mapping":{"a":7}}`,
		`{"api_key":"CANARY-sk-2"}`,
		`"CANARY"`, `CANARY`, `{"key":CANARY}`,
	}
	for _, path := range everyPath {
		method, path, _ := strings.Cut(path, " ")
		if method == "DELETE" {
			continue
		}
		for _, body := range bodies {
			got := g.do(method, path+"?key=CANARY", body)
			if shown := strings.ReplaceAll(got.body, "CANAR…", ""); strings.Contains(shown, "CANARY") {
				t.Errorf("%s %s %s is answered %s", method, path, body, got.body)
			}
		}
		g.do(method, path, "", "Authorization: Bearer CANARY-guess")
	}
	if strings.Contains(g.log.String(), "CANARY") {
		t.Errorf("the log tells:\n%s", g.log)
	}
	for _, want := range []string{`"action":"create","object":"provider","id":1,"version":2`, `"action":"rotate","object":"credential"`} {
		if !strings.Contains(g.log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, g.log)
		}
	}
}
