package server

import (
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"llmproxy/breaker"
	"llmproxy/config"
	"llmproxy/downstream"
	"llmproxy/openai"
	"llmproxy/ratelimit"
	"llmproxy/route"
	"llmproxy/tracing"
	"llmproxy/upstream"
)

// exchange is one request and its answer. It is pooled.
//
// One goroutine owns it at a time: the connection's, which runs the handler
// and, for a streamed answer, the body stream's WriteTo and Close after it.
// Only stop may be called from others, between watch.Start and watch.Stop.
// settle ends its life as a request; release gives it back to the pool, after
// which nothing in it may be touched. Buffers stay with it, unless they grew
// large or were handed over (the answer to fasthttp, the prompt to the token
// pool).
type exchange struct {
	s     *Server
	shard int // of s.inflight, for life
	slot  int // in the shard; -1 when not in flight

	attempt upstream.Attempt
	watch   downstream.Watch
	reason  atomic.Uint32 // a stopReason: why the exchange was ended from outside
	parsed  openai.Request
	failure failure
	events  events

	body     []byte    // the client's request, whole
	answer   []byte    // the provider's, whole, or what was read of a longer one
	text     []byte    // what the model said, for counting when the provider sends no usage
	model    []byte    // scratch for mapped names
	headers  []byte    // extra request lines for the provider
	upID     []byte    // the provider's own request id
	segments [8][]byte // scratch for the spliced body
	outgoing upstream.Request
	wake     chan struct{} // has a token when stop was called; there is room for one
	id       []byte        // the request's id: the client's own, or made here

	journey
}

// journey is what an exchange knows of its present request; it is forgotten
// in one assignment.
type journey struct {
	ctx      *fasthttp.RequestCtx
	endpoint *endpoint
	clientID bool // id is the client's own

	// Times in unix nanoseconds; 0 is not yet.
	startAt int64 // the request's head is here
	sentAt  int64 // the last attempt began
	firstAt int64 // the first data event is here
	wholeAt int64 // the whole answer is here

	overhead time.Duration // the gateway's own: what llm_proxy_overhead_seconds has of this request
	queued   time.Duration // waited for room
	admitIn  time.Duration // the first attempt began so long after startAt
	headIn   time.Duration // the last attempt had its answer's head so long after sentAt; 0: never

	trace *tracing.Trace // nil: the request is not sampled

	table    *route.Table
	caller   *route.Caller
	route    *route.Route
	public   []byte // the model's public name: view of parsed.Model
	cut      bool   // the prefix was cut from the asked name
	target   *route.Target
	owes     *route.Target // whose breaker waits for a report; nil: none does
	pass     breaker.Pass  // to report with
	tried    route.Tried
	attempts int            // requests that were sent or could not be, of which some to the same target
	sent     bool           // a provider has the request, and has not failed: it will be paid
	asked    int            // attempts that failed and count against MaxAttempts
	repeated bool           // a target was asked twice; none is a third time
	waiting  bool           // in a pause between two attempts
	failedIn upstream.Phase // the last attempt's, when it failed
	askUsage bool           // stream_options.include_usage was put in here

	lastErr error // why the last attempt failed; x.failure is what the provider said

	recovery config.Recovery // of this stream, if it breaks off

	rest     bool // the provider's answer is longer than what is in answer
	streamed bool // it is relayed by a body stream, which ends the exchange
	moreText int  // bytes of a stream's text beyond those in text
	usage    openai.Usage
	hasUsage bool
	usageEnd bool // it was told at the answer's end: usage is that of all of it

	held  route.Held        // of the caller's tokens and money, until it is billed
	quota ratelimit.Verdict // of the caller's tokens; no limit, no headers

	status   int
	seated   bool // on one of the caller's seats
	entered  bool // through the limiter
	admitted bool // whatever its end, there is a record of it
	settled  bool
}

// stopReason says who ended an exchange from outside.
type stopReason uint32

const (
	running stopReason = iota
	clientGone
	drained
)

// stop ends the exchange from another goroutine: the provider's connection is
// closed and the owner finds out at its next read. The first reason stays.
func (x *exchange) stop(r stopReason) {
	x.reason.CompareAndSwap(uint32(running), uint32(r))
	x.attempt.Cancel(r.cancelReason())
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// ClientGone is called by the watcher.
func (x *exchange) ClientGone() { x.stop(clientGone) }

// stopped returns why the exchange was ended from outside, or running.
func (x *exchange) stopped() stopReason { return stopReason(x.reason.Load()) }

// acquire takes an exchange for a request from the pool.
func (s *Server) acquire(ctx *fasthttp.RequestCtx, e *endpoint) *exchange {
	x, _ := s.exchanges.Get().(*exchange)
	if x == nil {
		x = &exchange{s: s, shard: s.inflight.newShard(), slot: -1, wake: make(chan struct{}, 1)}
	}
	x.ctx, x.endpoint, x.startAt = ctx, e, now()
	x.nameRequest()
	x.beginTrace()
	e.active.Add(1)
	return x
}

// release gives the exchange back. It must be settled.
func (s *Server) release(x *exchange) {
	x.journey = journey{}
	x.attempt.Reset()
	x.outgoing, x.parsed = upstream.Request{}, openai.Request{}
	x.reason.Store(uint32(running))
	select {
	case <-x.wake:
	default:
	}
	x.failure.reset()
	x.events.reset()
	x.body, x.answer, x.text = kept(x.body), kept(x.answer), kept(x.text)
	x.model, x.headers, x.upID = kept(x.model), kept(x.headers), kept(x.upID)
	clear(x.segments[:])
	s.exchanges.Put(x)
}

func (r stopReason) cancelReason() upstream.CancelReason {
	if r == drained {
		return upstream.Shutdown
	}
	return upstream.ClientGone
}
