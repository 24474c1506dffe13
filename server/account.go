package server

import (
	"bytes"
	"time"

	"llmproxy/metrics"
	"llmproxy/openai"
	"llmproxy/tokens"
	"llmproxy/usage"
)

// account writes down what the request used: as the provider said, or else as
// counted by the token pool, which takes the prompt and the text over. Nothing
// here waits.
func (s *Server) account(x *exchange, end ending, counts *metrics.Requests, took time.Duration) {
	b := bill{s: s, counts: counts, record: x.record(end, took)}
	switch {
	case x.hasUsage:
		b.record.Source = usage.Upstream
		b.record.Prompt, b.record.Completion = x.usage.Prompt, x.usage.Completion
		b.record.Cached, b.record.Reasoning = x.usage.Cached, x.usage.Reasoning
		b.settle()
	case x.headAt == 0 || end.outcome == usage.Failed || !x.endpoint.counted:
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
}

func (b *bill) settle() {
	r := &b.record
	if r.Source != usage.None {
		b.counts.Tokens(r.Prompt, r.Completion, r.Cached, r.Reasoning)
	}
	b.s.metrics.UsageRecords(r.Source.String())
	b.s.sink.Record(*r)
}

// count has the token pool count the prompt and what the model said. A full
// pool, or a text that it was not given whole, leaves an estimate.
func (s *Server) count(x *exchange, end ending, b bill) {
	model := b.record.Model
	body, text, parsed := x.body, x.text, x.parsed
	x.body, x.text, x.parsed = nil, nil, openai.Request{}
	b.record.Source = usage.Counted
	if end.outcome == usage.Truncated || end.outcome == usage.Cancelled {
		b.record.Source = usage.Partial
	}
	done := func(prompt, completion tokens.Count) {
		b.record.Prompt, b.record.Completion = prompt.Tokens, completion.Tokens
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
		Prompt:     func(t *tokens.Tally) { tallyPrompt(t, &parsed, body) },
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
	done(estimate(len(body)), estimate(len(text)))
}

func estimate(bytes int) tokens.Count {
	return tokens.Count{Tokens: tokens.Estimate(bytes), Estimated: true}
}

// tallyPrompt counts what a request's body says to the model, with what OpenAI's
// cookbook adds for each message of a chat.
func tallyPrompt(t *tokens.Tally, parsed *openai.Request, body []byte) {
	text, found := parsed.AppendPrompt(nil, body)
	for len(text) > 0 {
		piece, rest, _ := bytes.Cut(text, []byte{0})
		t.Text(piece)
		text = rest
	}
	for range found.Messages {
		t.Message()
	}
	for range found.Names {
		t.Name()
	}
	if found.Messages > 0 {
		t.Reply()
	}
}

// record describes the request that has ended. It holds copies only.
func (x *exchange) record(end ending, took time.Duration) usage.Record {
	r := usage.Record{
		RequestID: string(x.answerID()), At: time.Unix(0, x.startAt), Endpoint: x.endpoint.path,
		Model: string(x.public), Status: x.status, Stream: x.parsed.Stream, Attempts: x.attempts,
		Outcome: end.outcome, Duration: took,
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
