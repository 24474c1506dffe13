package demo

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

const speech = "Hello! You are talking to the demo provider inside llm-proxy. " +
	"Your request went through the gateway, was counted, and came back to you. " +
	"I am no model: this is the one text I know, and I say it to everyone. " +
	"Add a provider of your own, in the console or by the Admin API, and real models answer here."

// script is the speech in tokens: words, each but the first with its space.
var script = strings.SplitAfter(speech, " ")

// answer is what one request gets to hear.
type answer struct {
	id      string
	created int64
	model   string
	tokens  []string
	cut     bool // the request wanted fewer words than there are
	usage   usage
}

type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
}

// compose decides what to say to q.
func (s *Server) compose(q *request, prefix string) *answer {
	length := s.opts.Tokens
	if length <= 0 {
		length = len(script)
	}
	limit := q.limit()
	cut := limit > 0 && limit < length
	if cut {
		length = limit
	}
	tokens := speak(length)
	prompt := q.prompt()
	return &answer{
		id:      prefix + strconv.FormatUint(rand.Uint64(), 36),
		created: time.Now().Unix(),
		model:   q.Model,
		tokens:  tokens,
		cut:     cut,
		usage:   usage{Prompt: prompt, Completion: len(tokens), Total: prompt + len(tokens)},
	}
}

// speak returns the first n words of the speech, which begins anew as often
// as it takes. The last word has no space behind it.
func speak(n int) []string {
	tokens := make([]string, n)
	for i := range tokens {
		tokens[i] = script[i%len(script)]
		if i > 0 && i%len(script) == 0 {
			tokens[i-1] += " "
		}
	}
	tokens[n-1] = strings.TrimSuffix(tokens[n-1], " ")
	return tokens
}

func (a *answer) text() string { return strings.Join(a.tokens, "") }

// finish is chat's and completions' finish_reason.
func (a *answer) finish() string {
	if a.cut {
		return "length"
	}
	return "stop"
}
