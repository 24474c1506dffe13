package demo

import (
	"strings"

	"github.com/goccy/go-json"
)

// request is what the demo provider looks at in any of its endpoints' bodies.
type request struct {
	Model         string    `json:"model"`
	Messages      []message `json:"messages"`
	Prompt        any       `json:"prompt"`
	Input         any       `json:"input"`
	Stream        bool      `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	MaxTokens           *int   `json:"max_tokens"`
	MaxCompletionTokens *int   `json:"max_completion_tokens"`
	MaxOutputTokens     *int   `json:"max_output_tokens"`
	N                   *int   `json:"n"`
	EncodingFormat      string `json:"encoding_format"`
	Dimensions          int    `json:"dimensions"`
	ResponseFormat      struct {
		Type string `json:"type"`
	} `json:"response_format"`
}

type message struct {
	Content any `json:"content"`
}

// texts finds the texts of a prompt or an input: a string is one, a list is
// one for each of its items, whatever the item is made of.
func texts(v any) []string {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		all := make([]string, len(v))
		for i, item := range v {
			all[i] = flat(item)
		}
		return all
	}
	return []string{flat(v)}
}

// flat joins the texts inside an item: a string, a part with a text, a message
// with a content, or a list of them. Pictures and numbers have none.
func flat(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []any:
		return strings.Join(texts(v), " ")
	case map[string]any:
		return flat(v["text"]) + " " + flat(v["content"])
	}
	return ""
}

// words counts what strings.Fields would return.
func words(text string) int {
	n := 0
	for range strings.FieldsSeq(text) {
		n++
	}
	return n
}

// problem is why a request is refused.
type problem struct{ param, message string }

// parse reads a body and checks what the demo provider cannot do.
func parse(body []byte) (*request, *problem) {
	q := &request{}
	if err := json.Unmarshal(body, q); err != nil {
		return nil, &problem{"", "The body is not the JSON object that this endpoint takes."}
	}
	for name, limit := range map[string]*int{"max_tokens": q.MaxTokens, "max_completion_tokens": q.MaxCompletionTokens, "max_output_tokens": q.MaxOutputTokens} {
		if limit != nil && *limit < 1 {
			return nil, &problem{name, name + " must be at least 1."}
		}
	}
	switch {
	case q.N != nil && *q.N != 1:
		return nil, &problem{"n", "The demo provider gives one answer: n must be 1."}
	case strings.HasPrefix(q.ResponseFormat.Type, "json"):
		return nil, &problem{"response_format", "The demo provider says plain text only."}
	case q.Dimensions < 0 || q.Dimensions > maxDimensions:
		return nil, &problem{"dimensions", "The demo provider's vectors have between 1 and 4096 dimensions."}
	}
	return q, nil
}

// prompt counts the words that were asked with.
func (q *request) prompt() int {
	n := words(flat(q.Prompt)) + words(flat(q.Input))
	for i := range q.Messages {
		n += words(flat(q.Messages[i].Content))
	}
	return n
}

// limit is the largest number of words that the request wants, 0 for any.
func (q *request) limit() int {
	for _, limit := range []*int{q.MaxCompletionTokens, q.MaxTokens, q.MaxOutputTokens} {
		if limit != nil {
			return *limit
		}
	}
	return 0
}
