// Package tokens counts what texts cost, as OpenAI's models count.
//
// Counting takes the CPU's time, so it happens on the goroutines of a Pool and
// never on a request's. Everything has a limit: the queue, the bytes it holds,
// the bytes that are counted exactly. Beyond it there is an estimate, and the
// Count says so.
//
// A Counter counts a text exactly, a Tally what a chat costs: its texts, and what
// OpenAI's published recipes add for messages, functions and images.
//
// The package knows no JSON and no requests: a Job brings the texts.
package tokens

import (
	"slices"
	"strings"

	"github.com/pkoukk/tiktoken-go"
)

// Encoding is a way to cut text into tokens.
type Encoding uint8

// The encodings of the models that are in use.
const (
	O200K Encoding = iota // o200k_base, and for plain text o200k_harmony
	CL100K
	P50K
	R50K // and gpt2's
	encodings
)

var encodingNames = [encodings]string{"o200k_base", "cl100k_base", "p50k_base", "r50k_base"}

// String returns OpenAI's name of the encoding.
func (e Encoding) String() string { return encodingNames[e] }

// modelPrefixes is searched from the top: longer prefixes stand above shorter
// ones that they begin with.
var modelPrefixes = []struct {
	prefix   string
	encoding Encoding
}{
	{"gpt-5", O200K},
	{"gpt-4.1", O200K},
	{"gpt-4.5", O200K},
	{"gpt-4o", O200K},
	{"chatgpt-4o", O200K},
	{"gpt-oss", O200K},
	{"codex", O200K},
	{"o1", O200K},
	{"o3", O200K},
	{"o4", O200K},
	{"gpt-4", CL100K},
	{"gpt-3.5", CL100K},
	{"gpt-35", CL100K}, // Azure's spelling
	{"text-embedding-", CL100K},
	{"davinci-002", CL100K},
	{"babbage-002", CL100K},
}

// EncodingOf returns the encoding of a model, and whether the model is known.
// An unknown one has O200K, and what is counted with it is an estimate. The
// name may be a fine-tuned model's ("ft:gpt-4o:…") or carry the name of a
// vendor ("openai/gpt-4o").
func EncodingOf(model string) (Encoding, bool) {
	model = plainName(model)
	for _, m := range modelPrefixes {
		if strings.HasPrefix(model, m.prefix) {
			return m.encoding, true
		}
	}
	return encodingNamed(tiktoken.MODEL_TO_ENCODING[model]) // models of old, each by its whole name
}

// plainName is a model's name without its vendor and without "ft:".
func plainName(model string) string {
	return strings.TrimPrefix(model[strings.LastIndexByte(model, '/')+1:], "ft:")
}

func encodingNamed(name string) (Encoding, bool) {
	switch name {
	case tiktoken.MODEL_P50K_EDIT: // has other special tokens only
		return P50K, true
	case "gpt2": // has r50k's tokens
		return R50K, true
	}
	if i := slices.Index(encodingNames[:], name); i >= 0 {
		return Encoding(i), true
	}
	return O200K, false
}
