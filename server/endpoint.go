package server

import (
	"sync/atomic"

	"llmproxy/metrics"
)

// dialect is how an endpoint's answers are read: where usage and text stand,
// and what ends a stream.
type dialect uint8

const (
	opaque      dialect = iota // nothing is known of the answer but its bytes
	completions                // chat and legacy completions: choices, [DONE]
	responses                  // the Responses API: typed events
)

// endpoint is one public path that is forwarded.
type endpoint struct {
	path       string // public: "/v1/chat/completions"
	upstream   string // after the provider's api_base: "/chat/completions"
	dialect    dialect
	needsModel bool // OpenAI demands a model; without one any provider that serves every model is asked
	counted    bool // tokens are counted when the provider sends no usage
	answers    bool // with tokens of the model's own
	json       bool // a 2xx answer that is not an event stream must be JSON

	label  metrics.Label
	active *atomic.Int64
}

// forwarded lists the endpoints that go to providers.
func forwarded() []*endpoint {
	return []*endpoint{
		{path: "/v1/chat/completions", dialect: completions, needsModel: true, counted: true, answers: true, json: true},
		{path: "/v1/completions", dialect: completions, needsModel: true, counted: true, answers: true, json: true},
		{path: "/v1/embeddings", needsModel: true, counted: true, json: true},
		{path: "/v1/responses", dialect: responses, counted: true, answers: true, json: true},
		{path: "/v1/moderations", json: true},
		{path: "/v1/images/generations", json: true},
		{path: "/v1/audio/speech", needsModel: true},
		{path: "/v1/rerank", needsModel: true, json: true},
	}
}

// newEndpoints resolves the labels and gauges of the forwarded endpoints.
func newEndpoints(m *metrics.Registry) []*endpoint {
	all := forwarded()
	for _, e := range all {
		e.upstream = e.path[len("/v1"):]
		e.label = m.Label(e.path)
		e.active = m.Active(e.label)
	}
	return all
}
