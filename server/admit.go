package server

import (
	"time"

	"llmproxy/openai"
	"llmproxy/overload"
)

// admit decides whether the request may go on, and finds the way to its model.
// Nothing of the body is read before the key is known to be good.
func (s *Server) admit(x *exchange) error {
	x.table = s.live.Table()
	if err := x.authenticate(); err != nil {
		return err
	}
	if err := s.charge(&x.ctx.Response.Header, x.caller, x.startAt); err != nil {
		return err
	}
	if err := x.sit(); err != nil {
		return err
	}
	if err := s.letIn(x); err != nil {
		return err
	}
	if err := x.readBody(s.MaxBodyBytes); err != nil {
		return err
	}
	if err := x.parsed.Parse(x.body); err != nil {
		return err
	}
	if err := x.findRoute(); err != nil {
		return err
	}
	if err := x.hold(); err != nil {
		return err
	}
	x.admitted = true
	return nil
}

// letIn refuses work while the gateway drains or has more to do than it can.
// It may wait a little, or until the client leaves.
func (s *Server) letIn(x *exchange) error {
	if s.refusing.Load() {
		s.metrics.Overloaded("draining")
		return openai.ErrOverloaded(time.Second)
	}
	verdict := s.Limiter.Enter(x.startAt, x.wake)
	if verdict.Waited > 0 {
		s.queued.Observe(verdict.Waited)
		x.queued += verdict.Waited
	}
	switch {
	case verdict.OK():
		x.entered = true
		return nil
	case verdict.Reason == overload.Gone:
		return x.stopped().err("queue")
	}
	s.metrics.Overloaded(verdict.Reason.String())
	return openai.ErrOverloaded(verdict.RetryAfter)
}

// authenticate finds out who asks.
func (x *exchange) authenticate() (err error) {
	x.caller, err = identify(x.ctx, x.table, x.startAt)
	return err
}

// findRoute looks up who serves the model, and whether the caller may use it.
func (x *exchange) findRoute() error {
	if x.parsed.Model == nil {
		return x.findAnyRoute()
	}
	x.public = x.table.Public(x.parsed.Model)
	x.cut = len(x.public) != len(x.parsed.Model)
	if !x.caller.Allows(x.public) {
		return openai.ErrModelNotAllowed(string(x.public))
	}
	if x.route = x.table.Route(x.public); x.route == nil {
		return openai.ErrModelNotFound(string(x.public))
	}
	return nil
}

// findAnyRoute takes the providers that serve every model, where OpenAI allows
// a request without one. A caller that may use only some models must name one.
func (x *exchange) findAnyRoute() error {
	if x.endpoint.needsModel || !x.caller.AllowsAll() {
		return openai.ErrModelMissing()
	}
	if x.route = x.table.Any(); x.route == nil {
		return openai.ErrBody("model", "no provider serves requests without a model: name one")
	}
	return nil
}
