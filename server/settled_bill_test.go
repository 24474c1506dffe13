package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"llmproxy/config"
	"llmproxy/internal/fakeprovider"
	"llmproxy/tokens"
	"llmproxy/usage"
)

// received is what one client has of its answer.
type received struct {
	status int // 0: nothing
	body   string
	left   bool
}

// code is the error's that the gateway, or a provider, answered with.
func (h received) code() string {
	var e struct{ Error struct{ Code string } }
	_ = json.Unmarshal([]byte(h.body), &e)
	return e.Error.Code
}

// said is the text of an event, or of a whole answer, by encoding/json.
func saidIn(part string) (text string) {
	if _, data, ok := strings.Cut(part, "data: "); ok {
		part = data
	}
	type content struct {
		Content   string
		ToolCalls []struct {
			Function struct{ Name, Arguments string }
		} `json:"tool_calls"`
	}
	var v struct {
		Type    string
		Delta   string
		Choices []struct {
			Text           string
			Delta, Message content
		}
		Output []struct{ Content []struct{ Text string } }
	}
	_ = json.Unmarshal([]byte(part), &v) // an end mark says nothing
	text = v.Delta
	for _, c := range v.Choices {
		text += c.Text
		for _, m := range []content{c.Delta, c.Message} {
			text += m.Content
			for _, call := range m.ToolCalls {
				text += call.Function.Arguments + call.Function.Name
			}
		}
	}
	for _, item := range v.Output {
		for _, c := range item.Content {
			text += c.Text
		}
	}
	return text
}

// usageIn is what an event, or a whole answer, says was used; final: at its end.
func usageIn(part string) (u fakeprovider.Usage, final, ok bool) {
	if _, data, ok := strings.Cut(part, "data: "); ok {
		part = data
	}
	type details struct {
		Cached    int64 `json:"cached_tokens"`
		Reasoning int64 `json:"reasoning_tokens"`
	}
	type counts struct {
		Prompt     int64   `json:"prompt_tokens"`
		Completion int64   `json:"completion_tokens"`
		Input      int64   `json:"input_tokens"`
		Output     int64   `json:"output_tokens"`
		PromptIs   details `json:"prompt_tokens_details"`
		AnswerIs   details `json:"completion_tokens_details"`
		InputIs    details `json:"input_tokens_details"`
		OutputIs   details `json:"output_tokens_details"`
	}
	var v struct {
		Choices []struct {
			Finish string `json:"finish_reason"`
		}
		Usage    *counts
		Response struct{ Usage *counts }
	}
	_ = json.Unmarshal([]byte(part), &v)
	c := v.Usage
	if c == nil {
		c = v.Response.Usage
	}
	if c == nil {
		return u, false, false
	}
	final = len(v.Choices) == 0 || v.Choices[len(v.Choices)-1].Finish != ""
	return fakeprovider.Usage{
		Prompt: c.Prompt + c.Input, Completion: c.Completion + c.Output,
		Cached: c.PromptIs.Cached + c.InputIs.Cached, Reasoning: c.AnswerIs.Reasoning + c.OutputIs.Reasoning,
	}, final, true
}

// usage is the last that the provider told in this attempt.
func (a *attempted) usage() (u fakeprovider.Usage, final, ok bool) {
	for _, part := range a.parts {
		if v, f, told := usageIn(part); told {
			u, final, ok = v, f, true
		}
	}
	return u, final, ok
}

func (a *attempted) text() string {
	var b strings.Builder
	for _, part := range a.parts {
		b.WriteString(saidIn(part))
	}
	return b.String()
}

// counting counts tokens by themselves.
type counting struct {
	pool  *tokens.Pool
	known map[string]int64
}

func (c *counting) of(tally func(*tokens.Tally)) int64 {
	done := make(chan int64, 1)
	c.pool.Submit(tokens.Job{Model: "gpt-4", Prompt: tally, Done: func(n, _ tokens.Count) { done <- n.Tokens }})
	return <-done
}

func (c *counting) text(s string) int64 {
	n, ok := c.known[s]
	if !ok {
		n = c.of(func(t *tokens.Tally) { t.Text([]byte(s)) })
		c.known[s] = n
	}
	return n
}

// prompt is what the request says to the model, by the recipe for its endpoint.
func (c *counting) prompt(p *plan) int64 {
	return c.of(func(t *tokens.Tally) {
		if p.Path == chat || p.Path == "/v1/responses" {
			t.Message()
			t.Text([]byte("user"))
			t.Reply()
		}
		t.Text([]byte(settledPrompt))
		if p.Tools {
			t.Function([]byte("get_weather"), []byte("The weather"))
			t.Property([]byte("city"), []byte("string"), []byte("A town"))
		}
	})
}

// check holds a record against what its client heard and its providers sent.
func (p *plan) check(r usage.Record, h received, c *counting) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.checkEnd(r, h); err != nil {
		return err
	}
	switch r.Source {
	case usage.None:
		return p.checkNothing(r)
	case usage.Upstream:
		return p.checkTold(r)
	case usage.Counted, usage.Partial:
		return p.checkCounted(r, h, c)
	}
	return fmt.Errorf("nothing here is long enough to be %s", r.Source)
}

// checkEnd compares the end that is recorded with the one that the client saw.
func (p *plan) checkEnd(r usage.Record, h received) error {
	switch {
	case h.status != 0 && r.Status != h.status && r.Status != 499:
		return fmt.Errorf("the client saw %d", h.status)
	case r.Endpoint != p.Path || (r.Stream != p.Stream || r.Model != "gpt-4") && r.Result() != "client_gone:queue":
		return fmt.Errorf("it is another request's")
	case !h.left && r.Attempts != len(p.attempts):
		return fmt.Errorf("%d attempts were made", len(p.attempts))
	case !h.left && r.Outcome == usage.Cancelled:
		return fmt.Errorf("the client stayed")
	case !h.left && h.status == 200 && !p.sawEnd(r.Outcome, strings.Contains(h.body, `"error":{`)):
		return fmt.Errorf("the client saw another end")
	case r.Outcome == usage.Complete && r.Source == usage.None:
		return fmt.Errorf("a whole answer for nothing")
	}
	return nil
}

// sawEnd reports whether a client that stayed heard of an error if, and only if,
// its answer broke off. A provider's error behind a whole answer is passed on.
func (p *plan) sawEnd(o usage.Outcome, failed bool) bool {
	late := slices.ContainsFunc(p.attempts, func(a *attempted) bool { return a.turn.Ending == "error event" })
	return failed == (o == usage.Truncated) || failed && late
}

// checkNothing: nothing is billed where no provider gave the client an answer,
// or none had the request when the client left.
func (p *plan) checkNothing(r usage.Record) error {
	if r.Prompt|r.Completion|r.Cached|r.Reasoning|r.CostMicroUSD != 0 {
		return fmt.Errorf("billed from nowhere")
	}
	if n := len(p.attempts); r.Outcome == usage.Cancelled && n > 0 && !slices.Contains([]string{"backoff", "connect", "write"}, r.Phase) {
		if last := p.attempts[n-1].turn; last.Fail == "silence" || last.Fail == "" && last.Ending == "" {
			return fmt.Errorf("the provider had the request")
		}
	}
	return nil
}

// answers are the attempts that may have been the one that was billed.
func (p *plan) answers(provider string) (all []*attempted) {
	for _, a := range p.attempts {
		if a.provider == provider && (a.status == 200 || a.status == 0) {
			all = append(all, a)
		}
	}
	return all
}

// checkTold: where the provider has said what was used, that is the bill.
func (p *plan) checkTold(r usage.Record) error {
	if r.Outcome == usage.Failed || r.Outcome == usage.Refused {
		return fmt.Errorf("an attempt that failed is billed")
	}
	got := fakeprovider.Usage{Prompt: r.Prompt, Completion: r.Completion, Cached: r.Cached, Reasoning: r.Reasoning}
	for _, a := range p.answers(r.Provider) {
		if u, final, ok := a.usage(); ok && u == got && final {
			return nil
		}
	}
	return fmt.Errorf("no provider said so")
}

// checkCounted: where it has not, the text is counted: all of it, or as much as
// was heard at least and sent at most. A cut answer whose provider told of its
// usage on the way has that prompt, and that completion at least.
func (p *plan) checkCounted(r usage.Record, h received, c *counting) error {
	whole := r.Source == usage.Counted
	if whole != (r.Outcome == usage.Complete) {
		return fmt.Errorf("%s of an answer that is %s", r.Source, r.Outcome)
	}
	got := ""
	for _, event := range strings.SplitAfter(h.body, "\n\n") {
		got += saidIn(event)
		if _, final, ok := usageIn(event); ok && final && len(p.attempts) == 1 {
			return fmt.Errorf("the client knows better")
		}
	}
	if r.Outcome == usage.Cancelled && r.Prompt == c.prompt(p) && r.Completion == 0 && got == "" {
		return nil // it left before the answer
	}
	for _, a := range p.answers(r.Provider) {
		if a.accounts(r, got, h.left, c.prompt(p), c) {
			return nil
		}
	}
	return fmt.Errorf("no attempt sent so much; the client heard %q, prompt %d", got, c.prompt(p))
}

// accounts reports whether the record can be that of this attempt, which the
// gateway may have read to any event; got was heard of it.
func (a *attempted) accounts(r usage.Record, got string, left bool, prompt int64, c *counting) bool {
	if _, final, _ := a.usage(); final && r.Source == usage.Counted && !a.torn && !left {
		return false // it was told
	}
	if r.Source == usage.Counted {
		got = a.text()
	}
	text := ""
	var told fakeprovider.Usage
	for i := 0; ; i++ {
		want := prompt
		if told.Prompt > 0 {
			want = told.Prompt
		}
		if len(text) >= len(got) && r.Prompt == want && r.Completion == max(c.text(text), told.Completion) {
			return true
		}
		if i == len(a.parts) || a.status == 0 {
			return false
		}
		text += saidIn(a.parts[i])
		if u, _, ok := usageIn(a.parts[i]); ok {
			told = u
		}
	}
}

// cost is what the prices of a version make of the tokens: millionths of a
// dollar, half of one goes up.
func settledCost(r usage.Record, version int64) int64 {
	p := settledPrice(r.Provider, version)
	cached, reasoning := min(r.Cached, r.Prompt), min(r.Reasoning, r.Completion)
	sum := (r.Prompt-cached)*int64(p.Input) + cached*int64(*p.CachedInput) +
		(r.Completion-reasoning)*int64(p.Output) + reasoning*int64(p.Output)
	return (sum + 500_000) / 1_000_000
}

// settledPrice is different for every provider and version.
func settledPrice(provider string, version int64) config.Price {
	own := config.USD(1)
	if provider == "b" {
		own = 3
	}
	cached := 777_777 * own
	return config.Price{
		Model: "real-gpt-4", Provider: provider,
		Input: 2_345_678*own + 1_000_000*config.USD(version), Output: 10_111_111*own + 1_000_000*config.USD(version), CachedInput: &cached,
	}
}

func newCounting() (*counting, func()) {
	pool := tokens.NewPool(tokens.Options{Workers: 1})
	return &counting{pool: pool, known: map[string]int64{}}, func() { pool.Close(context.Background()) }
}
