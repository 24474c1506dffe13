package server_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"pgregory.net/rapid"

	"llmproxy/internal/fakeprovider"
)

// plan is one drawn request of TestSettledIsAdmitted: what the client asks for,
// when it leaves, and what each provider that is asked does.
type plan struct {
	ID                     int
	Path                   string
	Stream, Include, Tools bool
	N, MaxTokens           int
	Key                    string
	Recovery               string
	Wrong                  string // what is wrong with the request, "" for nothing
	Leave                  int    // after so many events; 0: before the answer; -1: it stays
	LeaveIn                time.Duration
	Words                  int
	Usage                  fakeprovider.Usage
	Turns                  []turn // one for each attempt

	mu       sync.Mutex
	attempts []*attempted
	versions [2]int64 // of the configuration: the first and the last that the request may have seen
}

// turn is what a provider does when it is asked.
type turn struct {
	Fail   string // instead of an answer
	Usage  string // where it is told: "", none, last chunk, null choices, every chunk, first chunk
	Ending string // whole, or how it ends before its time
	After  int    // so many events
	Framed string
	Other  bool // it says something else than the attempts before
}

// attempted is what a provider sent, or was about to send.
type attempted struct {
	provider string
	turn     turn
	parts    []string // whole, and in order; what was cut off is not among them
	status   int
	torn     bool // the end of the connection may have destroyed the last of them
}

var (
	settledKeys  = []string{clientKey, clientKey, anotherKey, anotherKey, anotherKey, limitedKey}
	settledFails = []string{"", "", "", "", "", "500", "503", "400", "401", "429", "silence", "garbage", "half a head"}
	settledEnds  = []string{"", "", "", "", "RST", "FIN", "silence", "half", "no done", "no finish", "error event"}
	settledUsage = []string{"", "", "none", "none", "last chunk", "null choices", "every chunk", "first chunk"}
)

// plans draws requests. Half of them have nothing go wrong at their first attempt.
func plans() *rapid.Generator[*plan] {
	return rapid.Custom(func(t *rapid.T) *plan {
		p := &plan{
			Path:      rapid.SampledFrom([]string{chat, chat, chat, "/v1/completions", "/v1/embeddings", "/v1/responses"}).Draw(t, "path"),
			Stream:    rapid.Bool().Draw(t, "stream"),
			Include:   rapid.Bool().Draw(t, "include_usage"),
			N:         rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(t, "n"),
			MaxTokens: rapid.SampledFrom([]int{0, 10, 400}).Draw(t, "max_tokens"),
			Key:       rapid.SampledFrom(settledKeys).Draw(t, "key"),
			Recovery:  rapid.SampledFrom([]string{"", "none", "splice", "hold"}).Draw(t, "recovery"),
			Leave:     rapid.SampledFrom([]int{-1, -1, -1, 0, 1, 2, 3, 5, 8}).Draw(t, "leave"),
			LeaveIn:   time.Duration(rapid.IntRange(0, 60).Draw(t, "leave in")) * time.Millisecond,
			Words:     rapid.IntRange(0, 9).Draw(t, "words"),
			Usage: fakeprovider.Usage{
				Prompt: rapid.Int64Range(1, 500).Draw(t, "prompt"), Completion: rapid.Int64Range(0, 500).Draw(t, "completion"),
				Cached: rapid.Int64Range(0, 9).Draw(t, "cached"), Reasoning: rapid.Int64Range(0, 9).Draw(t, "reasoning"),
			},
			Turns: rapid.SliceOfN(turns(), 4, 4).Draw(t, "turns"),
		}
		p.Tools = p.Path == chat && rapid.IntRange(0, 3).Draw(t, "tools") == 0
		p.Stream = p.Stream && p.Path != "/v1/embeddings"
		if rapid.IntRange(0, 9).Draw(t, "wrong") == 0 {
			p.Wrong = rapid.SampledFrom([]string{"key", "json", "model"}).Draw(t, "what")
		}
		return p
	})
}

func turns() *rapid.Generator[turn] {
	return rapid.Custom(func(t *rapid.T) turn {
		a := turn{Usage: rapid.SampledFrom(settledUsage).Draw(t, "usage")}
		a.Framed = rapid.SampledFrom([]string{"", "", "split", "gzip", "extra", "slow"}).Draw(t, "framed")
		if rapid.Bool().Draw(t, "sound") {
			return a
		}
		a.Fail = rapid.SampledFrom(settledFails).Draw(t, "fail")
		a.Ending = rapid.SampledFrom(settledEnds).Draw(t, "ending")
		a.After = rapid.IntRange(0, 9).Draw(t, "after")
		a.Other = rapid.IntRange(0, 5).Draw(t, "other") == 0
		return a
	})
}

const settledPrompt = "Count this, please."

// body is the request.
func (p *plan) body() string {
	if p.Wrong == "json" {
		return `{"model":`
	}
	model := "gpt-4"
	if p.Wrong == "model" {
		model = "nobody-serves-this"
	}
	q := map[string]any{"model": model, "user": fmt.Sprint(p.ID)}
	switch p.Path {
	case chat:
		q["messages"] = []any{map[string]string{"role": "user", "content": settledPrompt}}
	case "/v1/completions":
		q["prompt"] = settledPrompt
	default:
		q["input"] = settledPrompt
	}
	if p.Path == chat || p.Path == "/v1/completions" {
		p.optional(q)
	}
	if p.Stream {
		q["stream"] = true
	}
	body, _ := json.Marshal(q) // strings and numbers
	return string(body)
}

// optional adds what chats and completions may have.
func (p *plan) optional(q map[string]any) {
	if p.N > 0 {
		q["n"] = p.N
	}
	if p.MaxTokens > 0 {
		q["max_tokens"] = p.MaxTokens
	}
	if p.Stream && p.Include {
		q["stream_options"] = map[string]bool{"include_usage": true}
	}
	if p.Tools {
		q["tools"] = []any{map[string]any{"type": "function", "function": map[string]any{
			"name": "get_weather", "description": "The weather",
			"parameters": map[string]any{"type": "object", "properties": map[string]any{"city": map[string]string{"type": "string", "description": "A town"}}},
		}}}
	}
}

var numerals = strings.Split("zero, one, two, three, four, five, six, seven, eight, nine", ",")

// answer is what the provider does at the request's next attempt.
func (p *plan) answer(provider string, q *fakeprovider.Request) fakeprovider.Answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.attempts)
	at := &attempted{provider: provider, turn: p.Turns[min(n, len(p.Turns)-1)], status: 200}
	p.attempts = append(p.attempts, at)
	a := at.turn.answer(p, q)
	if at.status = a.Status; a.Status == 0 {
		at.status = 200
	}
	if a.Raw != "" || a.Delay > 0 {
		at.status = 0
	}
	at.parts = a.Parts
	if a.Cut != nil {
		at.parts, at.torn = a.Parts[:min(a.Cut.After, len(a.Parts))], a.Cut.By == fakeprovider.RST
	}
	return a
}

func (a *turn) answer(p *plan, q *fakeprovider.Request) fakeprovider.Answer {
	switch a.Fail {
	case "500", "503", "400", "401":
		status := map[string]int{"500": 500, "503": 503, "400": 400, "401": 401}[a.Fail]
		return fakeprovider.Fail(status, "fault", "drawn")
	case "429":
		return fakeprovider.Limited(10 * time.Millisecond)
	case "silence":
		return fakeprovider.Answer{Delay: time.Hour}
	case "garbage":
		return fakeprovider.Answer{Raw: "garbage\r\n\r\n", Ending: fakeprovider.FIN}
	case "half a head":
		return fakeprovider.Answer{Raw: "HTTP/1.1 2", Ending: fakeprovider.RST}
	}
	words := numerals[:p.Words]
	if a.Other {
		words = append([]string{"Otherwise"}, words...)
	}
	y := fakeprovider.Reply{
		Text: words, Usage: &p.Usage, NoUsage: a.Usage == "none",
		NoFinish: a.Ending == "no finish", NoDone: a.Ending == "no done" || a.Ending == "no finish",
	}
	if p.Tools {
		y.Text = nil
	}
	answer := y.Answer(q)
	if answer.Status/100 == 4 {
		return answer
	}
	a.tellUsage(p, &answer)
	a.frame(&answer)
	a.end(&answer)
	return answer
}

// tellUsage puts the usage where this provider tells it.
func (a *turn) tellUsage(p *plan, answer *fakeprovider.Answer) {
	if p.Path == "/v1/embeddings" && a.Usage == "none" {
		answer.Parts[0] = answer.Parts[0][:strings.Index(answer.Parts[0], `,"usage"`)] + "}"
	}
	only := -1
	for i, part := range answer.Parts {
		if strings.Contains(part, `"choices":[],`) && strings.Contains(part, `"usage":{`) {
			only = i
		}
	}
	if only < 1 {
		return // whole, or without
	}
	said := answer.Parts[only][strings.Index(answer.Parts[only], `"usage":`):]
	said = strings.TrimSuffix(said, "}\n\n")
	const null = `"usage":null`
	switch a.Usage {
	case "last chunk":
		answer.Parts[only-1] = strings.Replace(answer.Parts[only-1], null, said, 1)
		answer.Parts = append(answer.Parts[:only:only], answer.Parts[only+1:]...)
	case "null choices":
		answer.Parts[only] = strings.Replace(answer.Parts[only], `"choices":[]`, `"choices":null`, 1)
	case "every chunk", "first chunk":
		for i := range answer.Parts[:only] {
			if (i == 0 || a.Usage == "every chunk") && strings.Contains(answer.Parts[i], `"finish_reason":null`) {
				now := fmt.Sprintf(`"usage":{"prompt_tokens":%d,"completion_tokens":%d}`, p.Usage.Prompt, i)
				answer.Parts[i] = strings.Replace(answer.Parts[i], null, now, 1)
			}
		}
	}
}

func (a *turn) frame(answer *fakeprovider.Answer) {
	switch a.Framed {
	case "split":
		answer.Split = 7
	case "gzip":
		answer.Gzip = true
	case "extra":
		if answer.Framing == fakeprovider.Chunked { // else it goes out later, perhaps as the next request's answer
			answer.Extra = "HTTP/1.1 200 OK\r\n\r\n"
		}
	case "slow":
		answer.Gap = 4 * time.Millisecond
	}
}

func (a *turn) end(answer *fakeprovider.Answer) {
	after := min(a.After, len(answer.Parts)-1)
	switch a.Ending {
	case "RST":
		*answer = answer.CutAfter(after, fakeprovider.RST)
	case "FIN":
		*answer = answer.CutAfter(after, fakeprovider.FIN)
	case "silence":
		*answer = answer.CutAfter(after, fakeprovider.Silent)
	case "half":
		*answer = answer.CutInside(after, fakeprovider.FIN)
	case "error event":
		if len(answer.Parts) > 1 {
			answer.Parts = append(answer.Parts[:after:after], fakeprovider.Data(`{"error":{"message":"drawn"}}`))
		}
	}
}
