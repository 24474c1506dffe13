package openai

import (
	"strings"
	"testing"
)

func TestAppendRequestID(t *testing.T) {
	f := func(asked string, own bool) {
		t.Helper()
		id, got := AppendRequestID([]byte("x-"), []byte(asked))
		if got != own || own && string(id) != "x-"+asked || !own && len(id) != len("x-")+32 {
			t.Errorf("%q: %s, own=%v, want own=%v", asked, id, got, own)
		}
	}
	f("", false)
	f("a", true)
	f("req 1/ä", false)
	f("~ req-1 ~", true)
	f("a\x7f", false)
	f("a\r\nb", false)
	f(strings.Repeat("x", 128), true)
	f(strings.Repeat("x", 129), false)
}
