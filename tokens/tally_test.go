package tokens

import (
	"bytes"
	"strings"
	"testing"
)

// Numbers that OpenAI's cookbook gives ("How to count tokens with tiktoken").
func TestKnownTexts(t *testing.T) {
	f := func(text string, o200k, cl100k int64) {
		t.Helper()
		if got := count(O200K, text); got != o200k {
			t.Errorf("%q: %d tokens of o200k_base, want %d", text, got, o200k)
		}
		if got := count(CL100K, text); got != cl100k {
			t.Errorf("%q: %d tokens of cl100k_base, want %d", text, got, cl100k)
		}
	}
	f("", 0, 0)
	f("tiktoken is great!", 6, 6)
	f("antidisestablishmentarianism", 6, 6)
	f("2 + 2 = 4", 7, 7)
	f("お誕生日おめでとう", 8, 9)

	// A special token's name in a text is a text.
	f("<|endoftext|>", 7, 7)
}

// The cookbook's example of a chat, with the numbers that OpenAI's API gives.
func TestKnownChat(t *testing.T) {
	type message struct{ role, name, content string }
	chat := []message{
		{"system", "", "You are a helpful, pattern-following assistant that translates corporate jargon into plain English."},
		{"system", "example_user", "New synergies will help drive top-line growth."},
		{"system", "example_assistant", "Things working well together will increase revenue."},
		{"system", "example_user", "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."},
		{"system", "example_assistant", "Let's talk later when we're less busy about how to do better."},
		{"user", "", "This late pivot means we don't have time to boil the ocean for the client deliverable."},
	}
	f := func(model string, want int64) {
		t.Helper()
		encoding, known := EncodingOf(model)
		budget := 1 << 20
		tally := &Tally{encoding: encoding, budget: &budget, estimated: !known}
		for _, m := range chat {
			tally.Message()
			tally.Text([]byte(m.role))
			tally.Text([]byte(m.content))
			if m.name != "" {
				tally.Name()
				tally.Text([]byte(m.name))
			}
		}
		tally.Reply()
		if got := tally.Count(); got != (Count{Tokens: want}) {
			t.Errorf("%s: got %+v, want %d tokens, counted", model, got, want)
		}
	}
	f("gpt-3.5-turbo", 129)
	f("gpt-4-0613", 129)
	f("gpt-4o", 124)
	f("gpt-4o-mini", 124)
}

func TestEncodingOf(t *testing.T) {
	f := func(model string, want Encoding, known bool) {
		t.Helper()
		if got, ok := EncodingOf(model); got != want || ok != known {
			t.Errorf("%s: got %v, known %t, want %v, %t", model, got, ok, want, known)
		}
	}
	for _, model := range []string{
		"gpt-5", "gpt-5-mini", "gpt-4.1", "gpt-4.1-nano-2025-04-14", "gpt-4.5-preview", "gpt-4o", "gpt-4o-mini",
		"chatgpt-4o-latest", "o1", "o1-mini", "o3", "o3-pro", "o4-mini", "gpt-oss-120b", "codex-mini-latest",
		"ft:gpt-4o:acme::abc123", "openai/gpt-4o", "Proxy/o3",
	} {
		f(model, O200K, true)
	}
	for _, model := range []string{
		"gpt-4", "gpt-4-0613", "gpt-4-turbo", "gpt-3.5-turbo", "gpt-35-turbo-16k", "text-embedding-3-small",
		"text-embedding-ada-002", "ft:gpt-3.5-turbo:acme::abc123", "azure/gpt-4",
	} {
		f(model, CL100K, true)
	}
	for _, model := range []string{"", "/", "claude-sonnet-4", "llama-3.3-70b", "davinci", "my-gpt-4"} {
		f(model, O200K, false)
	}
}

// What goes beyond the budget is taken to be like what was counted.
func TestExtrapolation(t *testing.T) {
	text := []byte(strings.Repeat("All of it is alike. ", 1000))
	all := count(O200K, string(text))
	f := func(budget int, bring func(*Tally), want, tolerance int64, estimated bool) {
		t.Helper()
		left := budget
		tally := &Tally{encoding: O200K, budget: &left}
		bring(tally)
		got := tally.Count()
		if got.Tokens < want-tolerance || got.Tokens > want+tolerance || got.Estimated != estimated {
			t.Errorf("budget of %d bytes: got %+v, want %d±%d, estimated %t", budget, got, want, tolerance, estimated)
		}
		if left < 0 || left > budget {
			t.Errorf("%d bytes of the budget of %d are left", left, budget)
		}
	}
	whole := func(t *Tally) { t.Text(text) }
	f(len(text), whole, all, 0, false)
	f(len(text)-1, whole, all, 1, true)
	f(len(text)/2, whole, all, all/100, true)
	f(1000, whole, all, all/50, true)
	f(0, whole, Estimate(len(text)), 0, true)

	f(len(text), func(t *Tally) { t.Text(text[:len(text)/2]); t.Skip(len(text) / 2) }, all, all/100, true)
	f(100, func(t *Tally) { t.Skip(400) }, 100, 0, true)
	f(100, func(t *Tally) { t.Message(); t.Name(); t.Reply() }, 7, 0, false)
	f(100, func(*Tally) {}, 0, 0, false)

	// Several texts share the budget.
	f(len(text), func(t *Tally) { t.Text(text[:10_000]); t.Text(text[10_000:]) }, all, 2, false)
}

func TestEstimate(t *testing.T) {
	f := func(bytes int, want int64) {
		t.Helper()
		if got := Estimate(bytes); got != want {
			t.Errorf("%d bytes: got %d, want %d", bytes, got, want)
		}
	}
	f(0, 0)
	f(1, 1)
	f(4, 1)
	f(5, 2)
	f(4000, 1000)
}

// JSON holds no such texts, but a provider may send anything.
func TestTextThatIsNoUTF8(t *testing.T) {
	budget := 1 << 20
	tally := &Tally{encoding: CL100K, budget: &budget}
	tally.Text([]byte("good text, then \xff\xfe\xfd"))
	tally.Text(bytes.Repeat([]byte{0xff}, 10*pieceBytes))
	if got := tally.Count(); !got.Estimated || got.Tokens < 5 {
		t.Errorf("got %+v", got)
	}
}

// A panic of the library costs an estimate of a piece.
func TestPanicWhileCounting(t *testing.T) {
	budget := 1 << 20
	tally := &Tally{encoding: encodings, budget: &budget} // there is no such vocabulary
	tally.Text(make([]byte, 400))
	if got := tally.Count(); got != (Count{Tokens: 100, Estimated: true}) || tally.panics != 1 {
		t.Errorf("got %+v after %d panics", got, tally.panics)
	}
}

// count counts a text as the library does, in one piece.
func count(e Encoding, text string) int64 { return int64(len(vocabulary(e).EncodeOrdinary(text))) }
