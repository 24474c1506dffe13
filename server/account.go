package server

import (
	"bytes"
	"errors"
	"time"

	"llmproxy/config"
	"llmproxy/metrics"
	"llmproxy/openai"
	"llmproxy/route"
	"llmproxy/tokens"
	"llmproxy/tracing"
	"llmproxy/usage"
)

// account writes down what the request used: as the provider said at the end of
// its answer, or else as counted by the token pool, which takes the prompt and
// the text over. Nothing here waits.
func (s *Server) account(x *exchange, end ending, counts *metrics.Requests, took time.Duration) {
	b := bill{s: s, counts: counts, record: x.record(end, took), held: x.held, trace: x.takeTrace(end, took)}
	x.held = route.Held{}
	if x.target != nil {
		b.price = x.target.Provider.Price(b.record.UpstreamModel, b.record.Model)
	}
	switch {
	case x.hasUsage && (x.usageEnd || !x.endpoint.counted):
		b.record.Source = usage.Upstream
		b.record.Prompt, b.record.Completion = x.usage.Prompt, x.usage.Completion
		b.record.Cached, b.record.Reasoning = x.usage.Cached, x.usage.Reasoning
		b.settle()
	case !x.sent || end.outcome == usage.Failed || !x.endpoint.counted:
		b.settle()
	default:
		s.count(x, end, b)
	}
}

// bill is a record on its way to be written, and the counters that go with it.
type bill struct {
	s      *Server
	counts *metrics.Requests
	record usage.Record
	held   route.Held // until settle
	trace  *tracing.Trace
	price  *config.Price // of the provider that was asked last; nil: none is declared
}

// settle charges what was used, and sets free what was not.
func (b *bill) settle() {
	r := &b.record
	used := config.Tokens{Prompt: r.Prompt, Completion: r.Completion, Cached: r.Cached, Reasoning: r.Reasoning}
	answered := r.Source != usage.None
	if answered {
		cost := b.price.Cost(used)
		r.CostMicroUSD = int64(cost)
		b.counts.Tokens(r.Prompt, r.Completion, r.Cached, r.Reasoning)
		b.counts.Cost(r.CostMicroUSD, b.price != nil)
	}
	b.held.Settle(used, config.USD(r.CostMicroUSD), answered && r.Completion > 0, now())
	b.s.metrics.UsageRecords(r.Source.String())
	b.s.sink.Record(*r)
	b.s.tell(b.trace, r)
}

// count has the token pool count the prompt and what the model said. A full
// pool, or a text that it was not given whole, leaves an estimate.
func (s *Server) count(x *exchange, end ending, b bill) {
	model := b.record.Model
	body, text, parsed, items := x.body, x.text, x.parsed, x.endpoint.dialect == responses
	x.body, x.text, x.parsed = nil, nil, openai.Request{}
	b.record.Source = usage.Counted
	if end.outcome == usage.Truncated || end.outcome == usage.Cancelled {
		b.record.Source = usage.Partial
	}
	more, told := x.moreText, x.toldOnTheWay()
	done := func(prompt, completion tokens.Count) {
		completion = withMore(completion, more)
		b.record.Prompt, b.record.Completion = prompt.Tokens, max(completion.Tokens, told.Completion)
		b.record.Cached, b.record.Reasoning = told.Cached, told.Reasoning
		if told.Prompt > 0 {
			b.record.Prompt = told.Prompt
		}
		if (prompt.Estimated || completion.Estimated) && b.record.Source == usage.Counted {
			b.record.Source = usage.Estimated
		}
		b.settle()
	}
	job := tokens.Job{
		Model: model, Size: len(body) + len(text), Done: func(prompt, completion tokens.Count) {
			s.metrics.TokenJobs("counted")
			done(prompt, completion)
		},
		Prompt:     func(t *tokens.Tally) { tallyPrompt(t, &parsed, body, items) },
		Completion: func(t *tokens.Tally) { t.Text(text) },
	}
	if s.pool.Submit(job) {
		return
	}
	if s.pool.TooLarge(job.Size) {
		s.metrics.TokenJobs("too_large")
	} else {
		s.metrics.TokenJobs("queue_full")
	}
	done(estimatePrompt(model, body), estimate(len(text)))
}

// toldOnTheWay is what the provider said before the answer's end: all of the
// prompt, and as much of the answer as there was by then, or none.
func (x *exchange) toldOnTheWay() openai.Usage {
	if !x.hasUsage {
		return openai.Usage{}
	}
	return x.usage
}

// estimatePrompt does not take the files within a body for text.
func estimatePrompt(model string, body []byte) tokens.Count {
	size, files := openai.TextSize(body)
	c := estimate(size)
	c.Tokens += int64(files) * tokens.EstimateImage(model)
	return c
}

// withMore adds the text that was too long to be kept.
func withMore(c tokens.Count, bytes int) tokens.Count {
	if bytes > 0 {
		c.Tokens += tokens.Estimate(bytes)
		c.Estimated = true
	}
	return c
}

func estimate(bytes int) tokens.Count {
	return tokens.Count{Tokens: tokens.Estimate(bytes), Estimated: true}
}

// tallyPrompt counts what a request's body says to the model. items: it is one
// of the Responses API, where a string is a message, too.
func tallyPrompt(t *tokens.Tally, parsed *openai.Request, body []byte, items bool) {
	chat := false
	if items && bytes.HasPrefix(parsed.InputAt.Of(body), []byte(`"`)) {
		chat = true
		t.Message()
		t.Text([]byte("user"))
	}
	parsed.EachPart(body, func(p openai.Part) {
		chat = chat || p.Kind == openai.PartMessage
		tallyPart(t, p)
	})
	if chat {
		t.Reply()
	}
}

func tallyPart(t *tokens.Tally, p openai.Part) {
	switch p.Kind {
	case openai.PartMessage:
		t.Message()
	case openai.PartText:
		t.Text(p.Text)
	case openai.PartName:
		t.Name(p.Text)
	case openai.PartIDs:
		t.Tokens(p.Count)
	case openai.PartImage:
		t.Image(p.Text, p.More)
	case openai.PartFunction:
		t.Function(p.Text, p.More)
	case openai.PartProperty:
		t.Property(p.Text, p.Type, p.More)
	case openai.PartEnum:
		t.Enum()
	case openai.PartEnumItem:
		t.EnumItem(p.Text)
	case openai.PartUnknown:
		t.Unknown()
	}
}

// record describes the request that has ended. It holds copies only.
func (x *exchange) record(end ending, took time.Duration) usage.Record {
	r := usage.Record{
		RequestID: string(x.answerID()), At: time.Unix(0, x.startAt), Endpoint: x.endpoint.path,
		Model: string(x.public), Status: x.status, Stream: x.parsed.Stream, Attempts: x.attempts,
		Outcome: end.outcome, Phase: end.phase, Code: end.code(), Duration: took, Overhead: x.overhead,
	}
	if x.caller != nil {
		r.APIKeyID, r.APIKeyName = x.caller.ID, x.caller.Name
	}
	if x.target != nil {
		r.Provider = x.target.Provider.Name
		r.UpstreamModel = x.target.Provider.UpstreamName(r.Model)
	}
	if x.firstAt > 0 {
		r.TTFT = time.Duration(x.firstAt - x.startAt)
	}
	return r
}

// code names what went wrong: the code of the gateway's own answer, or whose
// answer it was that the client got.
func (e ending) code() string {
	if e.outcome != usage.Failed {
		return "" // of nearly every request: what follows allocates
	}
	return failureCode(e.err)
}

func failureCode(err error) string {
	var (
		own   *openai.Error
		spoke *spokeError
	)
	switch {
	case errors.As(err, &spoke):
		return "provider_error"
	case errors.As(err, &own) && own.Code != "":
		return own.Code
	}
	return "internal_error"
}
