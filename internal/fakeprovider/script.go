package fakeprovider

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ParseScript reads how to answer from one line of words, for tests that are
// written as text or run in another process:
//
//	status=429 retry-after=1         an error in OpenAI's shape, with a header
//	instead=rst                      a reset instead of an answer
//	cut=2 by=rst                     two whole events, then a reset
//	delay=50ms gap=10ms split=1      slow, and byte by byte
//	text=Hel|lo no-done              a stream of two pieces without [DONE]
//
// An empty line answers as OpenAI would. The words are
//
//	what it says    text= (pieces between '|') finish= usage= (prompt/completion) no-usage no-finish no-done
//	what it refuses status= code= body= type= header= (name:value) retry-after= retry-after-ms=
//	                retry-date= (so long from now) redirect= refuse-stream-options refuse-prefill
//	when            delay= (before the head) first= (before the first part) gap= (between parts)
//	                drip= (between the pieces of split=)
//	how it breaks   instead= by= end= (fin, rst, silent: then nothing more) cut= (after so many parts) half torn
//	                missing= (bytes of the promised length) no-end bad-event= (the how-manieth is no JSON) garbage
//	how it is laid  chunked until-close split= (bytes) gzip crlf cr extra= interim= huge-header=
//
// In text, extra and header a '+' stands for a space.
func ParseScript(line string) (Handler, error) {
	s := &scripted{}
	for word := range strings.FieldsSeq(line) {
		name, value, _ := strings.Cut(word, "=")
		if err := s.word(name, value); err != nil {
			return nil, fmt.Errorf("script word %q: %w", word, err)
		}
	}
	return s.answer, nil
}

// scripted is a line of words, read.
type scripted struct {
	reply  Reply
	status int
	code   string
	body   string
	kind   string // content-type of body
	cut    *Cut
	by     End
	crlf   string
	change []func(*Answer)
}

func (s *scripted) on(change func(*Answer)) { s.change = append(s.change, change) }

func (s *scripted) header(line string) {
	s.on(func(a *Answer) { a.Header = append(a.Header, line) })
}

// word takes one word: of the reply, of time and size, or of the wire.
func (s *scripted) word(name, value string) (err error) {
	switch name {
	case "text":
		s.reply.Text = strings.Split(strings.ReplaceAll(value, "+", " "), "|")
	case "finish":
		s.reply.Finish = value
	case "no-usage":
		s.reply.NoUsage = true
	case "no-finish":
		s.reply.NoFinish = true
	case "no-done":
		s.reply.NoDone = true
	case "refuse-stream-options":
		s.reply.RefuseStreamOptions = true
	case "refuse-prefill":
		s.reply.RefusePrefill = true
	case "usage":
		s.reply.Usage = &Usage{}
		_, err = fmt.Sscanf(value, "%d/%d", &s.reply.Usage.Prompt, &s.reply.Usage.Completion)
	case "status":
		s.status, err = strconv.Atoi(value)
	case "code":
		s.code = value
	case "body":
		s.body = value
	case "type":
		s.kind = value
	case "header":
		s.header(strings.ReplaceAll(strings.Replace(value, ":", ": ", 1), "+", " "))
	case "retry-after", "retry-after-ms":
		s.header(name + ": " + value)
	case "redirect":
		s.status = 307
		s.header("Location: " + value)
	case "delay", "first", "gap", "drip", "retry-date":
		return s.time(name, value)
	case "split", "missing", "cut", "huge-header", "bad-event":
		return s.size(name, value)
	case "by", "end", "instead":
		return s.end(name, value)
	default:
		return s.wire(name, value)
	}
	return err
}

func (s *scripted) time(name, value string) error {
	d, err := time.ParseDuration(value)
	s.on(func(a *Answer) {
		switch name {
		case "delay":
			a.Delay = d
		case "first":
			a.First = d
		case "gap":
			a.Gap = d
		case "drip":
			a.Drip = d
		case "retry-date":
			a.Header = append(a.Header, "Retry-After: "+time.Now().Add(d).UTC().Format(http.TimeFormat))
		}
	})
	return err
}

func (s *scripted) size(name, value string) error {
	n, err := strconv.Atoi(value)
	switch name {
	case "cut":
		s.cutting().After = n
	case "huge-header":
		s.header("X-Huge: " + strings.Repeat("h", n))
	case "split":
		s.on(func(a *Answer) { a.Split = n })
	case "missing":
		s.on(func(a *Answer) { a.Missing = n })
	case "bad-event":
		s.on(func(a *Answer) {
			a.Parts = slices.Insert(a.Parts, min(max(n-1, 0), len(a.Parts)), Data(`{"choices":[{"delta`))
		})
	}
	return err
}

func (s *scripted) end(name, value string) error {
	end, ok := map[string]End{"keep": Keep, "fin": FIN, "rst": RST, "silent": Silent}[value]
	if !ok {
		return fmt.Errorf("no such end")
	}
	switch name {
	case "by":
		s.by = end
	case "instead":
		s.on(func(a *Answer) { a.Instead = end })
	default:
		s.on(func(a *Answer) { a.Ending = end })
	}
	return nil
}

// wire takes the words that say how bytes are laid out.
func (s *scripted) wire(name, value string) error {
	switch name {
	case "half":
		s.cutting().Half = true
	case "torn":
		s.cutting().Torn = true
	case "crlf":
		s.crlf = "\r\n"
	case "cr":
		s.crlf = "\r"
	case "gzip":
		s.on(func(a *Answer) { a.Gzip = true })
	case "no-end":
		s.on(func(a *Answer) { a.NoEnd = true })
	case "chunked":
		s.on(func(a *Answer) { a.Framing = Chunked })
	case "until-close":
		s.on(func(a *Answer) { a.Framing = UntilClose })
	case "extra":
		s.on(func(a *Answer) { a.Extra = strings.ReplaceAll(value, "+", " ") })
	case "interim":
		s.on(func(a *Answer) { a.Interim = append(a.Interim, "HTTP/1.1 "+value+" Interim\r\nLink: </a>\r\n\r\n") })
	case "garbage":
		s.on(func(a *Answer) { a.Raw, a.Ending = "\x16\x03\x01 this is not HTTP\r\n\r\n", FIN })
	default:
		return fmt.Errorf("no such word")
	}
	return nil
}

func (s *scripted) cutting() *Cut {
	if s.cut == nil {
		s.cut = &Cut{}
	}
	return s.cut
}

// answer applies the words to what OpenAI would say.
func (s *scripted) answer(r *Request) Answer {
	var a Answer
	switch {
	case s.body != "":
		a = Status(s.status, s.body)
	case s.status >= 400:
		a = Fail(s.status, cmp.Or(s.code, "scripted_"+strconv.Itoa(s.status)), "The script says so.")
	case s.status >= 200 && s.status != 200:
		a = Answer{Status: s.status}
	default:
		a = s.reply.Answer(r)
	}
	if s.kind != "" {
		a.Header = []string{"Content-Type: " + s.kind}
	}
	for _, change := range s.change {
		change(&a)
	}
	if s.crlf != "" {
		a = a.withLineEnd(s.crlf)
	}
	if s.cut != nil {
		a.Cut = &Cut{After: s.cut.After, Half: s.cut.Half, Torn: s.cut.Torn, By: s.by}
	}
	return a
}
