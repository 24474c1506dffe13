package fakeprovider

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// created is the time that every made object carries.
const created = 1_700_000_000

// OpenAI answers a request as OpenAI would: the handler of a Provider that
// was given none. See Reply for answers that differ in one respect.
func OpenAI(r *Request) Answer { return Reply{}.Answer(r) }

// Reply is an honest answer with the parts that tests vary. The zero value
// greets, or calls the first tool when the request has tools, or answers with
// JSON when the request asks for it.
type Reply struct {
	Text   []string // the answer in the pieces that a stream sends
	Calls  []Call   // instead of text
	Finish string   // "stop", or "tool_calls" with Calls
	Usage  *Usage   // nil is DefaultUsage

	NoUsage             bool // say nothing of tokens, even when asked
	NoFinish            bool // a stream without finish_reason
	NoDone              bool // a stream without [DONE]
	RefuseStreamOptions bool // 400 to a request with stream_options
	RefusePrefill       bool // 400 to a request whose last message is the assistant's
}

// Call is one tool call; its arguments come in pieces.
type Call struct {
	ID, Name  string
	Arguments []string
}

// Usage is what a Reply claims to have used.
type Usage struct{ Prompt, Completion, Cached, Reasoning int64 }

// DefaultUsage is what every Reply claims that names nothing else.
var DefaultUsage = Usage{Prompt: 11, Completion: 7, Cached: 3, Reasoning: 2}

// ask is what the answers depend on.
type ask struct {
	Model         string            `json:"model"`
	Stream        bool              `json:"stream"`
	StreamOptions map[string]any    `json:"stream_options"`
	N             int               `json:"n"`
	Tools         []json.RawMessage `json:"tools"`
	ToolChoice    any               `json:"tool_choice"`
	Format        struct {
		Type string `json:"type"`
	} `json:"response_format"`
	Messages       []struct{ Role string }
	Input          any    `json:"input"`
	EncodingFormat string `json:"encoding_format"`
	Dimensions     int    `json:"dimensions"`
	Documents      []any  `json:"documents"`
}

// prefilled reports whether the model is to go on with an answer of its own.
func (q *ask) prefilled() bool {
	return len(q.Messages) > 0 && q.Messages[len(q.Messages)-1].Role == "assistant"
}

func (q *ask) includeUsage() bool { return q.StreamOptions["include_usage"] == true }

// Answer answers r, whatever it asks for.
func (y Reply) Answer(r *Request) Answer {
	if key := r.provider.opts.Key; key != "" && r.Key() != key {
		return Fail(http.StatusUnauthorized, "invalid_api_key", "Incorrect API key provided.")
	}
	_, path, _ := strings.Cut(r.Path, "/v1")
	if r.Method == http.MethodGet {
		return y.get(r, path)
	}
	var q ask
	if err := json.Unmarshal(r.Body, &q); err != nil {
		return Fail(http.StatusBadRequest, "invalid_json", err.Error())
	}
	if y.RefuseStreamOptions && q.StreamOptions != nil {
		return Fail(http.StatusBadRequest, "unknown_parameter", "Unrecognized request argument supplied: stream_options")
	}
	if y.RefusePrefill && q.prefilled() {
		return Fail(http.StatusBadRequest, "prefill_unsupported", "The last message must be the user's.")
	}
	if path == "/responses" {
		q.Tools = nil // text is all that this fake says there
	}
	y = y.complete(&q)
	switch path {
	case "/chat/completions":
		return y.chat(r, &q)
	case "/completions":
		return y.legacy(r, &q)
	case "/responses":
		return y.responses(r, &q)
	case "/embeddings":
		return embeddings(&q)
	}
	return other(r, &q, path)
}

// complete fills in what the Reply leaves to the request.
func (y Reply) complete(q *ask) Reply {
	q.N = max(q.N, 1)
	if y.Usage == nil {
		y.Usage = &DefaultUsage
	}
	if y.Text == nil && y.Calls == nil {
		switch {
		case len(q.Tools) > 0 && q.ToolChoice != "none":
			y.Calls = []Call{{ID: "call_fake1", Name: toolName(q.Tools[0]), Arguments: []string{`{"city"`, `:"Par`, `is"}`}}}
		case strings.HasPrefix(q.Format.Type, "json"):
			y.Text = []string{`{"answer"`, `:42}`}
		default:
			y.Text = []string{"Hello", " from", " the", " fake", " provider."}
		}
	}
	if y.Finish == "" {
		y.Finish = "stop"
		if y.Calls != nil {
			y.Finish = "tool_calls"
		}
	}
	return y
}

// toolName reads the name out of a tool of either API.
func toolName(raw json.RawMessage) string {
	var tool struct {
		Name     string
		Function struct{ Name string }
	}
	_ = json.Unmarshal(raw, &tool) // a tool without a name is called ""
	if tool.Function.Name != "" {
		return tool.Function.Name
	}
	return tool.Name
}

func (y Reply) get(r *Request, path string) Answer {
	model := func(id string) map[string]any {
		return map[string]any{"id": id, "object": "model", "created": created, "owned_by": "fake"}
	}
	id, one := strings.CutPrefix(path, "/models/")
	switch {
	case path == "/models":
		list := []any{}
		for _, id := range r.provider.opts.Models {
			list = append(list, model(id))
		}
		return object(map[string]any{"object": "list", "data": list})
	case one && slices.Contains(r.provider.opts.Models, id):
		return object(model(id))
	}
	return Fail(http.StatusNotFound, "model_not_found", "The model does not exist.")
}

// other answers the endpoints that a gateway only passes through.
func other(r *Request, q *ask, path string) Answer {
	switch path {
	case "/moderations":
		return object(map[string]any{"id": "modr-fake", "model": q.Model, "results": []any{
			map[string]any{"flagged": false, "categories": map[string]any{"violence": false}, "category_scores": map[string]any{"violence": 0.01}},
		}})
	case "/images/generations":
		return object(map[string]any{"created": created, "data": []any{map[string]any{"b64_json": "aW1hZ2U="}}})
	case "/audio/speech":
		return Answer{Header: []string{"Content-Type: audio/mpeg"}, Framing: Chunked, Parts: []string{"ID3\x00\x01", "\xff\xfb\x90\x00"}}
	case "/rerank":
		results := []any{}
		for i := range q.Documents {
			results = append(results, map[string]any{"index": i, "relevance_score": 1 / float64(i+1)})
		}
		return object(map[string]any{"model": q.Model, "results": results})
	}
	return Fail(http.StatusNotFound, "not_found", fmt.Sprintf("Invalid URL (%s %s)", r.Method, r.Path))
}

// usage is OpenAI's object for chat, completions and embeddings.
func (u *Usage) usage() map[string]any {
	return map[string]any{
		"prompt_tokens": u.Prompt, "completion_tokens": u.Completion, "total_tokens": u.Prompt + u.Completion,
		"prompt_tokens_details":     map[string]any{"cached_tokens": u.Cached},
		"completion_tokens_details": map[string]any{"reasoning_tokens": u.Reasoning},
	}
}

// object answers with a JSON object and the headers that OpenAI sends.
func object(v map[string]any) Answer {
	a := OK(text(v))
	a.Header = append(a.Header, openaiHeader...)
	return a
}

var openaiHeader = []string{
	"x-request-id: req_fake",
	"openai-processing-ms: 12",
	"x-ratelimit-remaining-requests: 99",
}

// text is v as JSON; what is made here always has one.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return string(b)
}
