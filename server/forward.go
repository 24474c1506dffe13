package server

import (
	"errors"
	"math/rand/v2"
	"time"

	"llmproxy/route"
	"llmproxy/upstream"
)

// forward asks one provider after another until one has an answer for the
// client: whole in x.answer, or begun (x.rest, x.events). Nothing has reached
// the client when it returns. The error is the client's.
func (s *Server) forward(x *exchange) error {
	s.inflight.add(x)
	s.budget.deposit()
	t, pass := x.route.Pick(rand.Uint64(), &x.tried, now())
	if t == nil {
		return x.giveUp()
	}
	x.owe(t, pass)
	if !t.Provider.Client.HasRoom() {
		var err error
		if t, err = s.awaitRoom(x, t); err != nil {
			return err
		}
	}
	x.tried.Add(t)
	for {
		err := s.ask(x, t)
		if err == nil {
			return nil
		}
		if r := x.stopped(); r != running {
			x.abandoned()
			return r.err(x.phase())
		}
		v := s.judge(x, t, err)
		if x.lastErr = err; v == (verdict{}) {
			return err
		}
		s.journal.attemptFailed(x, t, err)
		if t = s.follow(x, t, v); t == nil {
			return x.giveUp()
		}
	}
}

// ask makes an attempt at the target. It returns nil with an answer for the
// client in hand.
func (s *Server) ask(x *exchange, t *route.Target) error {
	x.target = t
	if x.stopped() != running {
		return errStopped
	}
	err := x.attemptAt(t)
	if err == nil {
		x.answered()
		return nil
	}
	if !errors.Is(err, upstream.ErrBusy) {
		x.asked++
	}
	x.failedIn = x.attempt.Phase()
	x.traceFailed(err)
	x.attempt.Close()
	x.forgetAnswer()
	x.sent = x.sent && x.stopped() != running
	return err
}

// answered reports the answer that is in hand: whole, or begun.
func (x *exchange) answered() {
	if x.events.open || x.rest {
		x.began()
		return
	}
	x.succeeded()
}

var errStopped = errors.New("ended from outside")

// phase names what the request was waiting for when it was ended.
func (x *exchange) phase() string {
	if x.waiting {
		return "backoff"
	}
	return x.failedIn.String()
}

// attemptAt sends the request to the target and takes its answer up to the
// commit point. A provider that refuses to be asked for usage is asked again
// without, once.
func (x *exchange) attemptAt(t *route.Target) error {
	x.askUsage = x.wantsUsage(t)
	err := x.send(t)
	if err != nil || !x.askUsage || x.attempt.Status() != 400 {
		if err == nil {
			err = x.receive()
		}
		return err
	}
	err = x.receive()
	var spoke *spokeError
	if !errors.As(err, &spoke) || !refusesStreamOptions(x.failure.body) {
		return err
	}
	t.Provider.Learned.RefusesStreamOptions.Store(true)
	x.attempt.Close()
	x.askUsage = false
	if err := x.send(t); err != nil {
		return err
	}
	return x.receive()
}

// wantsUsage reports whether include_usage is to be put into the request.
func (x *exchange) wantsUsage(t *route.Target) bool {
	return x.parsed.Stream && !x.parsed.IncludeUsage && x.endpoint.dialect == completions &&
		!t.Provider.Learned.RefusesStreamOptions.Load()
}

// send writes the spliced request and waits for the response head. A provider
// that was full has not been sent anything: that is no attempt.
func (x *exchange) send(t *route.Target) error {
	sentAt := now()
	x.fill(&x.outgoing, t)
	err := x.attempt.Send(t.Provider.Client, &x.outgoing)
	if errors.Is(err, upstream.ErrBusy) {
		return err
	}
	if x.attempts++; x.attempts == 1 {
		x.overhead = time.Duration(sentAt - x.startAt)
		x.admitIn = x.overhead
		x.s.admitted.Observe(x.overhead)
	}
	x.sentAt, x.headIn = sentAt, 0
	x.sent = err == nil || x.attempt.Phase() >= upstream.FirstByte
	if err == nil {
		x.headIn = time.Duration(now() - x.sentAt)
		t.Provider.Meter.Latency.Observe(x.headIn)
	}
	x.traceSent(t, err)
	return err
}
