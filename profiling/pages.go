package profiling

import (
	"bytes"
	"fmt"
	"net"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"
)

// Options are what Pages need of the process.
type Options struct {
	// Ended is closed when recordings must end, with what they have by then.
	// nil: never.
	Ended <-chan struct{}
	// Watch calls left when the client of a connection goes, until stop is
	// called. nil: nobody is told.
	Watch func(conn net.Conn, left func()) (stop func())
}

// Pages are everything under /debug/. Their methods may be called by any
// goroutine.
type Pages struct {
	Options
	recording chan struct{} // the seat of the one recording
	picturing sync.Mutex    // one picture of memory or goroutines is taken at a time
}

// New returns Pages that are ready to be registered.
func New(o Options) *Pages {
	return &Pages{Options: o, recording: make(chan struct{}, 1)}
}

const (
	prefix      = "/debug/"
	prefixPprof = "/debug/pprof/"
	pathVars    = "/debug/vars"
)

// Register puts the pages under /debug/ of r. All paths and methods below it
// come through the guard, those that are not there too.
func (p *Pages) Register(r *router.Router, guard func(fasthttp.RequestHandler) fasthttp.RequestHandler) {
	r.ANY(prefix+"{rest:*}", guard(p.serve))
}

func (p *Pages) serve(ctx *fasthttp.RequestCtx) {
	h := &ctx.Response.Header
	h.Set(fasthttp.HeaderCacheControl, "no-store")
	h.Set(fasthttp.HeaderXContentTypeOptions, "nosniff")
	path := string(ctx.URI().PathOriginal())
	name, isPprof := strings.CutPrefix(path, prefixPprof)
	switch {
	case !ctx.IsGet():
		h.Set(fasthttp.HeaderAllow, fasthttp.MethodGet)
		refuse(ctx, fasthttp.StatusMethodNotAllowed, "only GET is served here")
	case path == pathVars:
		writeVars(ctx)
	case isPprof && name == "":
		writeIndex(ctx)
	case isPprof && pictures[name]:
		p.picture(ctx, name)
	case isPprof && recordings[name] != nil:
		p.record(ctx, name, recordings[name])
	default:
		refuse(ctx, fasthttp.StatusNotFound, "there is no such page; "+prefixPprof+" lists them")
	}
}

// pictures are the profiles of a moment, by the runtime's names.
var pictures = map[string]bool{"allocs": true, "goroutine": true, "heap": true, "threadcreate": true}

// picture answers with a profile of this moment. As in net/http/pprof, debug=1
// and 2 ask for text, and gc=1 for a garbage collection before.
func (p *Pages) picture(ctx *fasthttp.RequestCtx, name string) {
	debug := ctx.QueryArgs().GetUintOrZero("debug")
	p.picturing.Lock()
	defer p.picturing.Unlock()
	if name == "heap" && ctx.QueryArgs().GetUintOrZero("gc") > 0 {
		runtime.GC()
	}
	var b bytes.Buffer
	if err := pprof.Lookup(name).WriteTo(&b, debug); err != nil {
		refuse(ctx, fasthttp.StatusInternalServerError, "the profile could not be written")
		return
	}
	if debug > 0 {
		deliverText(ctx, b.Bytes())
		return
	}
	deliver(ctx, name, b.Bytes())
}

// deliver answers with a profile, whose bytes it takes over.
func deliver(ctx *fasthttp.RequestCtx, name string, profile []byte) {
	ctx.SetContentType("application/octet-stream")
	ctx.Response.Header.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	ctx.Response.SetBodyRaw(profile)
}

func deliverText(ctx *fasthttp.RequestCtx, text []byte) {
	ctx.SetContentType("text/plain; charset=utf-8")
	ctx.Response.SetBodyRaw(text)
}

// refuse answers with an error that go tool pprof shows.
func refuse(ctx *fasthttp.RequestCtx, status int, why string) {
	ctx.SetStatusCode(status)
	ctx.Response.Header.Set("X-Go-Pprof", "1")
	deliverText(ctx, []byte(why+"\n"))
}

// writeIndex tells what there is.
func writeIndex(ctx *fasthttp.RequestCtx) {
	var b bytes.Buffer
	for _, line := range [][2]string{
		{"profile?seconds=30", "where CPU time goes, recorded for so long (60 at most)"},
		{"trace?seconds=1", "what the scheduler does, recorded for so long (10 at most)"},
		{"block?seconds=10", "where goroutines wait, recorded for so long (60 at most), added to what was recorded before"},
		{"mutex?seconds=10", "which locks are waited for, likewise"},
		{"heap", "memory in use, by who allocated it; gc=1 collects garbage before"},
		{"allocs", "all memory allocated since the start"},
		{"goroutine", "what goroutines do; debug=2 lists each"},
		{"threadcreate", "who made threads of the system"},
	} {
		fmt.Fprintf(&b, "%s%-20s  %s\n", prefixPprof, line[0], line[1])
	}
	fmt.Fprintf(&b, "%-33s  variables of package expvar, as JSON\n", pathVars)
	deliverText(ctx, b.Bytes())
}
