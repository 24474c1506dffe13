package demo

import "github.com/valyala/fasthttp"

// completion is the object of chat and of legacy completions, whole or one
// chunk of a stream.
type completion struct {
	ID      string   `json:"id"`
	Object  string   `json:"object"`
	Created int64    `json:"created"`
	Model   string   `json:"model"`
	Choices []choice `json:"choices"`
	Usage   *usage   `json:"usage,omitempty"`
}

type choice struct {
	Index   int     `json:"index"`
	Message *spoken `json:"message,omitempty"`
	Delta   *spoken `json:"delta,omitempty"`
	Text    *string `json:"text,omitempty"`
	Finish  *string `json:"finish_reason"`
}

type spoken struct {
	Role    string  `json:"role,omitempty"`
	Content *string `json:"content,omitempty"`
}

// chat answers /v1/chat/completions.
func (s *Server) chat(ctx *fasthttp.RequestCtx, q *request) {
	a := s.compose(q, "chatcmpl-demo-")
	if !q.Stream {
		text, finish := a.text(), a.finish()
		send(ctx, a.completion("chat.completion", &a.usage,
			choice{Message: &spoken{Role: "assistant", Content: &text}, Finish: &finish}))
		return
	}
	role := choice{Delta: &spoken{Role: "assistant", Content: new(string)}}
	s.stream(ctx, a.chunks("chat.completion.chunk", q, &role,
		func(word *string) choice { return choice{Delta: &spoken{Content: word}} }))
}

// completions answers /v1/completions.
func (s *Server) completions(ctx *fasthttp.RequestCtx, q *request) {
	a := s.compose(q, "cmpl-demo-")
	if !q.Stream {
		text, finish := a.text(), a.finish()
		send(ctx, a.completion("text_completion", &a.usage, choice{Text: &text, Finish: &finish}))
		return
	}
	s.stream(ctx, a.chunks("text_completion", q, nil, func(word *string) choice {
		if word == nil {
			word = new(string)
		}
		return choice{Text: word}
	}))
}

func (a *answer) completion(object string, u *usage, choices ...choice) completion {
	if choices == nil {
		choices = []choice{}
	}
	return completion{ID: a.id, Object: object, Created: a.created, Model: a.model, Choices: choices, Usage: u}
}

// chunks are the events of a stream: first, one for each word, the finish,
// the usage if it was asked for, and [DONE]. say makes the choice that carries
// a word, or nothing.
func (a *answer) chunks(object string, q *request, first *choice, say func(*string) choice) [][]byte {
	events := make([][]byte, 0, len(a.tokens)+4)
	add := func(u *usage, choices ...choice) {
		events = append(events, event("", encode(a.completion(object, u, choices...))))
	}
	if first != nil {
		add(nil, *first)
	}
	for i := range a.tokens {
		add(nil, say(&a.tokens[i]))
	}
	finish := a.finish()
	last := say(nil)
	last.Finish = &finish
	add(nil, last)
	if q.StreamOptions.IncludeUsage {
		add(&a.usage)
	}
	return append(events, []byte("data: [DONE]\n\n"))
}
