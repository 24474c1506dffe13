package fakeprovider

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
)

type fields = map[string]any

// chat answers /v1/chat/completions, as a whole or as a stream.
func (y Reply) chat(r *Request, q *ask) Answer {
	if q.Stream {
		return y.chatStream(r, q)
	}
	message := fields{"role": "assistant", "content": strings.Join(y.Text, ""), "refusal": nil}
	if y.Calls != nil {
		calls := []any{}
		for _, call := range y.Calls {
			calls = append(calls, fields{"id": call.ID, "type": "function", "function": fields{"name": call.Name, "arguments": strings.Join(call.Arguments, "")}})
		}
		message["content"], message["tool_calls"] = nil, calls
	}
	choices := []any{}
	for i := range q.N {
		choices = append(choices, fields{"index": i, "message": message, "logprobs": nil, "finish_reason": y.Finish})
	}
	return y.whole(r, q, "chat.completion", choices)
}

// legacy answers /v1/completions.
func (y Reply) legacy(r *Request, q *ask) Answer {
	if q.Stream {
		var steps [][]any
		for _, piece := range y.Text {
			steps = append(steps, q.each(fields{"text": piece, "finish_reason": nil, "logprobs": nil}))
		}
		return y.stream(r, q, "text_completion", steps, fields{"text": "", "logprobs": nil})
	}
	return y.whole(r, q, "text_completion", q.each(fields{"text": strings.Join(y.Text, ""), "logprobs": nil, "finish_reason": y.Finish}))
}

// whole is the answer that comes in one piece.
func (y Reply) whole(r *Request, q *ask, kind string, choices []any) Answer {
	v := fields{"id": fmt.Sprintf("fake-%d", r.Seq), "object": kind, "created": created, "model": q.Model, "choices": choices}
	if !y.NoUsage {
		v["usage"] = y.Usage.usage()
	}
	return object(v)
}

// chatStream plans the steps of a chat stream: role, pieces, the end.
func (y Reply) chatStream(r *Request, q *ask) Answer {
	delta := func(v fields) fields { return fields{"delta": v, "logprobs": nil, "finish_reason": nil} }
	steps := [][]any{q.each(delta(fields{"role": "assistant", "content": ""}))}
	for _, piece := range y.Text {
		steps = append(steps, q.each(delta(fields{"content": piece})))
	}
	for i, call := range y.Calls {
		head := fields{"index": i, "id": call.ID, "type": "function", "function": fields{"name": call.Name, "arguments": ""}}
		steps = append(steps, q.each(delta(fields{"tool_calls": []any{head}})))
		for _, piece := range call.Arguments {
			next := fields{"index": i, "function": fields{"arguments": piece}}
			steps = append(steps, q.each(delta(fields{"tool_calls": []any{next}})))
		}
	}
	return y.stream(r, q, "chat.completion.chunk", steps, fields{"delta": fields{}, "logprobs": nil})
}

// stream turns the steps into events: one event per choice and step, then the
// finish, the usage if asked for, and [DONE].
func (y Reply) stream(r *Request, q *ask, kind string, steps [][]any, last fields) Answer {
	chunk := func(choices []any, usage any) string {
		v := fields{"id": fmt.Sprintf("fake-%d", r.Seq), "object": kind, "created": created, "model": q.Model, "choices": choices}
		if q.includeUsage() && !y.NoUsage {
			v["usage"] = usage
		}
		return Data(text(v))
	}
	var events []string
	for _, choices := range steps {
		for _, choice := range choices {
			events = append(events, chunk([]any{choice}, nil))
		}
	}
	if !y.NoFinish {
		last["finish_reason"] = y.Finish
		for _, choice := range q.each(last) {
			events = append(events, chunk([]any{choice}, nil))
		}
	}
	if q.includeUsage() && !y.NoUsage {
		events = append(events, chunk([]any{}, y.Usage.usage()))
	}
	if !y.NoDone {
		events = append(events, Data("[DONE]"))
	}
	a := Events(events...)
	a.Header = append(a.Header, openaiHeader...)
	return a
}

// each gives every one of the n choices its own copy of v.
func (q *ask) each(v fields) []any {
	var all []any
	for i := range q.N {
		own := fields{"index": i}
		for name, value := range v {
			own[name] = value
		}
		all = append(all, own)
	}
	return all
}

// embeddings answers with small vectors that depend on the index alone.
func embeddings(q *ask) Answer {
	inputs, ok := q.Input.([]any)
	if !ok {
		inputs = []any{q.Input}
	}
	if q.Dimensions == 0 {
		q.Dimensions = 4
	}
	data := []any{}
	for i := range inputs {
		vector := make([]float32, q.Dimensions)
		for j := range vector {
			vector[j] = float32(i+1) / float32(j+2)
		}
		var embedding any = vector
		if q.EncodingFormat == "base64" {
			embedding = packed(vector)
		}
		data = append(data, fields{"object": "embedding", "index": i, "embedding": embedding})
	}
	return object(fields{
		"object": "list", "model": q.Model, "data": data,
		"usage": fields{"prompt_tokens": DefaultUsage.Prompt, "total_tokens": DefaultUsage.Prompt},
	})
}

// packed is OpenAI's base64 of little-endian float32.
func packed(vector []float32) string {
	var raw []byte
	for _, x := range vector {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	return base64.StdEncoding.EncodeToString(raw)
}
