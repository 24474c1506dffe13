package admin

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"

	"llmproxy/logging"
)

const (
	defaultMaxBody = 1 << 20
	// storeTimeout leaves the client its answer within two seconds whatever
	// state the database is in.
	storeTimeout = 1700 * time.Millisecond

	pathPrefix   = "/admin/"
	pathValidate = "/admin/v1/auth/validate"
)

// Applied is what a reload put into service.
type Applied struct {
	Version     int64
	Providers   int
	Credentials int
}

// Deps is what the API works with. Store, Reload and Prober are required.
type Deps struct {
	// Context ends when the process does; nil never ends. Calls to the store
	// hang on it, not on a client's request.
	Context context.Context
	Store   Store
	// Reload loads the configuration from the store and puts it into service.
	// An error that is config.Problems means that it was refused and the one
	// before keeps serving.
	Reload func(context.Context) (Applied, error)
	Prober Prober
	Usage  Usage // nil: USAGE_LEDGER is off

	AdminKeyHash [32]byte // SHA-256 of the admin key
	HasAdminKey  bool     // without one every path answers 503
	WrongKey     func()   // is told of every wrong key; nil tells nobody

	MaxBody int          // bytes; 0 is 1 MiB
	Log     *slog.Logger // nil logs nothing
	// LogLevel is Log's, which requests may change; nil is one that nobody heeds.
	LogLevel *logging.Level
	Now      func() time.Time // nil is time.Now
}

// API serves everything under /admin/. Its methods may be called from any
// goroutine.
type API struct {
	Deps
	guesses guesses
	reports chan struct{} // seats of the questions about usage that are being answered
	routes  *router.Router
}

// New returns an API that is ready to be registered.
func New(d Deps) *API {
	if d.Context == nil {
		d.Context = context.Background()
	}
	if d.MaxBody == 0 {
		d.MaxBody = defaultMaxBody
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.LogLevel == nil {
		d.LogLevel = logging.NewLevel(slog.LevelInfo)
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.WrongKey == nil {
		d.WrongKey = func() {}
	}
	a := &API{Deps: d, reports: make(chan struct{}, maxReports)}
	a.routes = a.buildRoutes()
	return a
}

// Register puts the API under /admin/ of r.
//
// All methods and paths below it come here, to a router of the API's own:
// that way no route can be added that goes around the admin key.
func (a *API) Register(r *router.Router) {
	r.ANY(pathPrefix+"{rest:*}", a.Guard(a.routes.Handler))
}

// route is one endpoint of the API.
type route struct {
	method, path string
	handle       handler
}

// handler answers one request with a status and a body, or with an error that
// fail turns into both.
type handler func(x *call) (status int, body any, err error)

// call is one request under way. It is gone when its handler returns.
type call struct {
	http *fasthttp.RequestCtx
	id   string // x-request-id
}

// endpoints is the whole API.
func (a *API) endpoints() []route {
	return []route{
		{"POST", pathValidate, a.validateKey},
		{"GET", "/admin/v1/providers", a.listProviders},
		{"POST", "/admin/v1/providers", a.createProvider},
		{"GET", "/admin/v1/providers/{id}", a.getProvider},
		{"PUT", "/admin/v1/providers/{id}", a.changeProvider},
		{"PATCH", "/admin/v1/providers/{id}", a.changeProvider},
		{"DELETE", "/admin/v1/providers/{id}", a.removeProvider},
		{"GET", "/admin/v1/credentials", a.listCredentials},
		{"POST", "/admin/v1/credentials", a.createCredential},
		{"GET", "/admin/v1/credentials/{id}", a.getCredential},
		{"PUT", "/admin/v1/credentials/{id}", a.changeCredential},
		{"PATCH", "/admin/v1/credentials/{id}", a.changeCredential},
		{"DELETE", "/admin/v1/credentials/{id}", a.removeCredential},
		{"POST", "/admin/v1/credentials/{id}/rotate", a.rotateCredential},
		{"GET", "/admin/v1/prices", a.listPrices},
		{"POST", "/admin/v1/prices", a.createPrice},
		{"POST", "/admin/v1/prices/import", a.importPrices},
		{"GET", "/admin/v1/prices/{id}", a.getPrice},
		{"PUT", "/admin/v1/prices/{id}", a.changePrice},
		{"PATCH", "/admin/v1/prices/{id}", a.changePrice},
		{"DELETE", "/admin/v1/prices/{id}", a.removePrice},
		{"GET", "/admin/v1/usage", a.reportUsage},
		{"GET", "/admin/v1/requests", a.listRequests},
		{"POST", "/admin/v1/config/reload", a.reloadConfig},
		{"GET", "/admin/v1/config/version", a.configVersion},
		{"GET", "/admin/v1/log-level", a.showLogLevel},
		{"PUT", "/admin/v1/log-level", a.changeLogLevel},
		{"POST", "/admin/v1/health/check", a.checkHealth},
		{"GET", "/admin/v1/health/providers/{id}", a.checkProvider},
	}
}

// buildRoutes makes the router behind the admin key. It redirects nowhere: a
// Location made of the Host header leads where the client wants it to.
func (a *API) buildRoutes() *router.Router {
	r := router.New()
	r.RedirectTrailingSlash, r.RedirectFixedPath, r.HandleOPTIONS = false, false, false
	r.NotFound = a.answering(func(*call) (int, any, error) { return 0, nil, errNoSuchPath })
	r.MethodNotAllowed = a.answering(func(x *call) (int, any, error) {
		allow := &x.http.Response.Header
		allow.Set("Allow", withoutOptions(string(allow.Peek("Allow"))))
		return 0, nil, errMethod
	})
	for _, e := range a.endpoints() {
		r.Handle(e.method, e.path, a.answering(e.handle))
	}
	return r
}

// withoutOptions takes out the OPTIONS that the router adds to every list.
func withoutOptions(allow string) string {
	var methods []string
	for _, m := range strings.Split(allow, ", ") {
		if m != fasthttp.MethodOptions {
			methods = append(methods, m)
		}
	}
	return strings.Join(methods, ", ")
}

// Guard lets requests with the admin's key through to h: those for paths under
// /admin/, and for others that are the admin's alone. Who guesses the key is
// slowed down by all of them together.
func (a *API) Guard(h fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		nameRequest(ctx)
		defer a.recoverPanic(ctx)
		if err := a.authorize(ctx); err != nil {
			a.fail(ctx, err)
			return
		}
		h(ctx)
	}
}

// answering runs a handler and writes what it answers.
func (a *API) answering(handle handler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		status, body, err := handle(&call{http: ctx, id: requestID(ctx)})
		if err != nil {
			a.fail(ctx, err)
			return
		}
		if t, ok := body.(*table); ok {
			t.write(ctx, status)
			return
		}
		writeJSON(ctx, status, body)
	}
}

// recoverPanic makes a 500 of a panic: fasthttp would end the process. The
// panic's own text is not logged, for it may hold anything.
func (a *API) recoverPanic(ctx *fasthttp.RequestCtx) {
	if p := recover(); p != nil {
		a.Log.Error("admin request panicked", "request_id", requestID(ctx), "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
		a.fail(ctx, errInternal)
	}
}

// storeContext bounds one call to the store.
func (a *API) storeContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(a.Context, storeTimeout)
}
