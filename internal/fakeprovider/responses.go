package fakeprovider

import (
	"fmt"
	"strings"
)

// responses answers /v1/responses, as a whole or as a stream.
func (y Reply) responses(r *Request, q *ask) Answer {
	if q.Stream {
		return y.responsesStream(r, q)
	}
	return object(y.response(r, q, "completed"))
}

// response is the object in one of its states; only a completed one has
// output and usage.
func (y Reply) response(r *Request, q *ask, status string) fields {
	v := fields{
		"id": fmt.Sprintf("resp_fake%d", r.Seq), "object": "response", "created_at": created,
		"status": status, "model": q.Model, "output": []any{}, "error": nil,
		"incomplete_details": nil, "instructions": nil, "metadata": fields{},
		"parallel_tool_calls": true, "tools": []any{}, "tool_choice": "auto", "temperature": 1, "top_p": 1,
	}
	if status != "completed" {
		return v
	}
	v["output"] = []any{y.outputItem(strings.Join(y.Text, ""), "completed")}
	if !y.NoUsage {
		v["usage"] = fields{
			"input_tokens": y.Usage.Prompt, "output_tokens": y.Usage.Completion, "total_tokens": y.Usage.Prompt + y.Usage.Completion,
			"input_tokens_details":  fields{"cached_tokens": y.Usage.Cached},
			"output_tokens_details": fields{"reasoning_tokens": y.Usage.Reasoning},
		}
	}
	return v
}

func (y Reply) outputItem(text, status string) fields {
	content := []any{}
	if status == "completed" {
		content = append(content, textPart(text))
	}
	return fields{"id": "msg_fake", "type": "message", "status": status, "role": "assistant", "content": content}
}

func textPart(text string) fields {
	return fields{"type": "output_text", "text": text, "annotations": []any{}}
}

// responsesStream sends typed events; there is no [DONE] in this API.
func (y Reply) responsesStream(r *Request, q *ask) Answer {
	var events []string
	add := func(kind string, v fields) {
		v["type"], v["sequence_number"] = kind, len(events)
		events = append(events, "event: "+kind+"\n"+Data(text(v)))
	}
	at := func(v fields) fields {
		v["item_id"], v["output_index"], v["content_index"] = "msg_fake", 0, 0
		return v
	}
	whole := strings.Join(y.Text, "")
	add("response.created", fields{"response": y.response(r, q, "in_progress")})
	add("response.in_progress", fields{"response": y.response(r, q, "in_progress")})
	add("response.output_item.added", fields{"output_index": 0, "item": y.outputItem("", "in_progress")})
	add("response.content_part.added", at(fields{"part": textPart("")}))
	for _, piece := range y.Text {
		add("response.output_text.delta", at(fields{"delta": piece, "logprobs": []any{}}))
	}
	add("response.output_text.done", at(fields{"text": whole, "logprobs": []any{}}))
	add("response.content_part.done", at(fields{"part": textPart(whole)}))
	add("response.output_item.done", fields{"output_index": 0, "item": y.outputItem(whole, "completed")})
	if !y.NoFinish {
		add("response.completed", fields{"response": y.response(r, q, "completed")})
	}
	a := Events(events...)
	a.Header = append(a.Header, openaiHeader...)
	return a
}
