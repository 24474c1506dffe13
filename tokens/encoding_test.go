package tokens

import (
	"testing"

	"github.com/pkoukk/tiktoken-go"
)

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
		"text-embedding-ada-002", "ft:gpt-3.5-turbo:acme::abc123", "azure/gpt-4", "davinci-002",
	} {
		f(model, CL100K, true)
	}
	for _, model := range []string{"text-davinci-003", "text-davinci-edit-001", "code-davinci-002"} {
		f(model, P50K, true)
	}
	for _, model := range []string{"davinci", "ada", "text-davinci-001", "gpt2", "openai-community/gpt2"} {
		f(model, R50K, true)
	}
	for _, model := range []string{"", "/", "claude-sonnet-4", "llama-3.3-70b", "davinci-3", "my-gpt-4"} {
		f(model, O200K, false)
	}
}

// Every name that the library knows has the encoding that it has there.
func TestModelsOfTheLibrary(t *testing.T) {
	for model, name := range tiktoken.MODEL_TO_ENCODING {
		want, _ := encodingNamed(name)
		if got, known := EncodingOf(model); got != want || !known {
			t.Errorf("%s: got %v, known %t, want %v (%s)", model, got, known, want, name)
		}
	}
	for prefix, name := range tiktoken.MODEL_PREFIX_TO_ENCODING {
		if got, known := EncodingOf(prefix + "2030"); got.String() != name || !known {
			t.Errorf("%s*: got %v, known %t, want %s", prefix, got, known, name)
		}
	}
}
