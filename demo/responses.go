package demo

import "github.com/valyala/fasthttp"

// fields is an object of the Responses API: its events share few shapes.
type fields map[string]any

// responses answers /v1/responses.
func (s *Server) responses(ctx *fasthttp.RequestCtx, q *request) {
	a := s.compose(q, "resp_demo_")
	if !q.Stream {
		send(ctx, a.response(a.status()))
		return
	}
	s.stream(ctx, a.responseEvents())
}

// status is how the answer ends in this API.
func (a *answer) status() string {
	if a.cut {
		return "incomplete"
	}
	return "completed"
}

// response is the object in one of its states; only an ended one has output
// and usage.
func (a *answer) response(status string) fields {
	v := fields{
		"id": a.id, "object": "response", "created_at": a.created, "model": a.model,
		"status": status, "output": []any{}, "error": nil, "incomplete_details": nil,
		"instructions": nil, "metadata": fields{}, "parallel_tool_calls": true,
		"tools": []any{}, "tool_choice": "auto", "temperature": 1, "top_p": 1,
	}
	if status == "in_progress" {
		return v
	}
	if a.cut {
		v["incomplete_details"] = fields{"reason": "max_output_tokens"}
	}
	v["output"] = []any{a.item(status)}
	v["usage"] = fields{
		"input_tokens": a.usage.Prompt, "input_tokens_details": fields{"cached_tokens": 0},
		"output_tokens": a.usage.Completion, "output_tokens_details": fields{"reasoning_tokens": 0},
		"total_tokens": a.usage.Total,
	}
	return v
}

// item is the one message of the output.
func (a *answer) item(status string) fields {
	content := []any{}
	if status != "in_progress" {
		content = append(content, part(a.text()))
	}
	return fields{"id": "msg_" + a.id, "type": "message", "role": "assistant", "status": status, "content": content}
}

func part(text string) fields {
	return fields{"type": "output_text", "text": text, "annotations": []any{}}
}

// responseEvents are the typed events of a stream, which has no [DONE].
func (a *answer) responseEvents() [][]byte {
	events := make([][]byte, 0, len(a.tokens)+8)
	add := func(kind string, v fields) {
		v["type"], v["sequence_number"] = kind, len(events)
		events = append(events, event(kind, encode(v)))
	}
	at := func(v fields) fields {
		v["item_id"], v["output_index"], v["content_index"] = "msg_"+a.id, 0, 0
		return v
	}
	add("response.created", fields{"response": a.response("in_progress")})
	add("response.in_progress", fields{"response": a.response("in_progress")})
	add("response.output_item.added", fields{"output_index": 0, "item": a.item("in_progress")})
	add("response.content_part.added", at(fields{"part": part("")}))
	for _, word := range a.tokens {
		add("response.output_text.delta", at(fields{"delta": word, "logprobs": []any{}}))
	}
	add("response.output_text.done", at(fields{"text": a.text(), "logprobs": []any{}}))
	add("response.content_part.done", at(fields{"part": part(a.text())}))
	add("response.output_item.done", fields{"output_index": 0, "item": a.item(a.status())})
	add("response."+a.status(), fields{"response": a.response(a.status())})
	return events
}
