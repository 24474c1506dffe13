package provider

import (
	"io"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"
)

// word is a token.
const word = " word"

// whole answers with a chat completion.
func (p *Provider) whole(ctx *fasthttp.RequestCtx, q request) {
	b := p.scratch.Get().(*[]byte)
	defer p.scratch.Put(b)
	var room [256]byte
	tail := append(append(room[:0], `"},"logprobs":null,"finish_reason":"`...), p.finish(q)...)
	tail = append(p.appendUsage(append(tail, `"}],`...), q), '}')
	*b = p.appendHead((*b)[:0], "chat.completion")
	*b = append(*b, `"choices":[{"index":0,"message":{"role":"assistant","content":"`...)
	said := p.text[:len(word)*q.tokens]
	if p.opts.Bytes > 0 {
		said = p.filler[:max(0, p.opts.Bytes-len(*b)-len(tail))]
	}
	*b = append(append(*b, said...), tail...)
	ctx.SetContentType("application/json")
	ctx.SetBody(*b)
}

// appendHead begins the object of an answer, or of an event.
func (p *Provider) appendHead(b []byte, object string) []byte {
	b = append(append(b, `{"id":"chatcmpl-mock","object":"`...), object...)
	b = strconv.AppendInt(append(b, `","created":`...), p.started, 10)
	b = strconv.AppendQuote(append(b, `,"model":`...), p.opts.Model)
	return append(b, ',')
}

func (p *Provider) appendUsage(b []byte, q request) []byte {
	b = strconv.AppendInt(append(b, `"usage":{"prompt_tokens":`...), int64(q.prompt), 10)
	b = strconv.AppendInt(append(b, `,"completion_tokens":`...), int64(q.tokens), 10)
	b = strconv.AppendInt(append(b, `,"total_tokens":`...), int64(q.prompt+q.tokens), 10)
	return append(b, '}')
}

// finish is an answer's finish_reason.
func (p *Provider) finish(q request) string {
	if q.tokens < p.opts.Tokens {
		return "length"
	}
	return "stop"
}

// refuse answers with an error in OpenAI's shape.
func refuse(ctx *fasthttp.RequestCtx, status int) {
	kind, code := "invalid_request_error", "mock_error"
	switch {
	case status == fasthttp.StatusTooManyRequests:
		kind, code = "requests", "rate_limit_exceeded"
		ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, "1")
	case status >= 500:
		kind = "server_error"
	}
	ctx.SetStatusCode(status)
	ctx.SetContentType("application/json")
	ctx.SetBodyString(`{"error":{"message":"The mock provider was told to fail.","type":"` + kind + `","param":null,"code":"` + code + `"}}`)
}

// stream writes its events to the client at the provider's pace. It is used
// once, by the connection's goroutine, after the handler has returned.
type stream struct {
	*Provider
	q request
}

// SupportsBodyWriteTo implements fasthttp.BodyWriterTo: every Write of WriteTo
// is one chunk on the wire, at once.
func (*stream) SupportsBodyWriteTo() bool { return true }

// Read implements io.Reader, which fasthttp demands and does not call.
func (*stream) Read([]byte) (int, error) { panic("BUG: WriteTo is for that") }

// WriteTo implements io.WriterTo. An event has its moment after the first one:
// a reader that stops for a while gets what was due meanwhile.
func (s *stream) WriteTo(w io.Writer) (total int64, err error) {
	interval, each := s.opts.pace()
	head := s.appendHead([]byte("data: "), "chat.completion.chunk")
	var event []byte
	write := func() bool {
		var n int
		n, err = w.Write(event)
		total += int64(n)
		return err == nil
	}
	began := time.Now()
	for said := 0; said < s.q.tokens; said += each {
		if !s.await(began.Add(time.Duration(said/each) * interval)) {
			return total, errShutdown
		}
		event = s.appendEvent(event[:0], head, said, min(each, s.q.tokens-said))
		if !write() {
			return total, err
		}
	}
	event = s.appendEnd(event[:0], head)
	write()
	return total, err
}

// appendEvent says some tokens, of which the first ones of a stream come with
// the role.
func (s *stream) appendEvent(b, head []byte, said, tokens int) []byte {
	b = append(b, head...)
	if s.opts.Stamp == InField {
		b = append(appendNow(append(b, `"sent_ns":`...)), ',')
	}
	b = append(b, `"choices":[{"index":0,"delta":{`...)
	if said == 0 {
		b = append(b, `"role":"assistant",`...)
	}
	b = append(append(b, `"content":"`...), s.text[:len(word)*tokens]...)
	if s.opts.Stamp == InContent {
		b = appendNow(append(b, ` sent_ns=`...))
	}
	return append(b, `"},"finish_reason":null}]}`+"\n\n"...)
}

func appendNow(b []byte) []byte { return strconv.AppendInt(b, time.Now().UnixNano(), 10) }

// appendEnd says that it is over, and what it took if that was asked for.
func (s *stream) appendEnd(b, head []byte) []byte {
	b = append(append(b, head...), `"choices":[{"index":0,"delta":{},"finish_reason":"`+s.finish(s.q)+`"}]}`+"\n\n"...)
	if s.q.usage {
		b = append(append(b, head...), `"choices":[],`...)
		b = append(s.appendUsage(b, s.q), "}\n\n"...)
	}
	return append(b, "data: [DONE]\n\n"...)
}
