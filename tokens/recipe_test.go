package tokens

import "testing"

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
		budget := 1 << 20
		tally := newTally(new(Counter), model, &budget)
		for _, m := range chat {
			tally.Message()
			tally.Text([]byte(m.role))
			tally.Text([]byte(m.content))
			if m.name != "" {
				tally.Name([]byte(m.name))
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

// The cookbook's example of functions, with the numbers that OpenAI's API gives.
func TestKnownTools(t *testing.T) {
	f := func(model string, want int64) {
		t.Helper()
		budget := 1 << 20
		tally := newTally(new(Counter), model, &budget)
		say := func(role, content string) {
			tally.Message()
			tally.Text([]byte(role))
			tally.Text([]byte(content))
		}
		say("system", "You are a helpful assistant that can answer to questions about the weather.")
		say("user", "What's the weather like in Pittsburgh today?")
		tally.Reply()
		tally.Function([]byte("get_current_weather"), []byte("Get the current weather in a given location"))
		tally.Property([]byte("location"), []byte("string"), []byte("The city and state, e.g. San Francisco, CA"))
		tally.Property([]byte("unit"), []byte("string"), []byte("The unit of temperature to return"))
		tally.Enum()
		tally.EnumItem([]byte("celsius"))
		tally.EnumItem([]byte("fahrenheit"))
		if got := tally.Count(); got != (Count{Tokens: want}) {
			t.Errorf("%s: got %+v, want %d tokens, counted", model, got, want)
		}
	}
	f("gpt-3.5-turbo", 105)
	f("gpt-4", 105)
	f("gpt-4o", 101)
	f("gpt-4o-mini", 101)
}

// What is added for all functions is added once, what for each, for each; a full
// stop at a description's end does not count.
func TestToolOverhead(t *testing.T) {
	f := func(want int64, bring func(*Tally)) {
		t.Helper()
		budget := 1 << 20
		tally := newTally(new(Counter), "gpt-4o", &budget)
		bring(tally)
		if got := tally.Count(); got != (Count{Tokens: want}) {
			t.Errorf("got %+v, want %d", got, want)
		}
	}
	text := func(text string) int64 { return count(O200K, text) }
	function := func(t *Tally) { t.Function([]byte("f"), []byte("Does it.")) }
	property := func(t *Tally) { t.Property([]byte("p"), []byte("string"), []byte("A p.")) }

	f(7+12+text("f:Does it"), function)
	f(7+7+12+2*text("f:Does it"), func(t *Tally) { function(t); function(t) })
	f(7+12+text("f:Does it")+3+3+3+2*text("p:string:A p"), func(t *Tally) { function(t); property(t); property(t) })
	f(7+7+12+2*text("f:Does it")+2*(3+3+text("p:string:A p")), func(t *Tally) { function(t); property(t); function(t); property(t) })
}
