package admin

import (
	"bytes"
	"io"
	"strings"

	"github.com/valyala/fasthttp"

	"llmproxy/config"
)

// readBody returns the request's body, at most limit bytes of it. The bytes
// are the caller's.
func readBody(ctx *fasthttp.RequestCtx, limit int) ([]byte, error) {
	h := &ctx.Request.Header
	if encoding := h.ContentEncoding(); len(encoding) > 0 && !strings.EqualFold(string(encoding), "identity") {
		return nil, errEncoded
	}
	if h.ContentLength() > limit {
		return nil, tooLarge(limit)
	}
	from := ctx.RequestBodyStream()
	if from == nil { // read already, or there is none
		from = bytes.NewReader(ctx.PostBody())
	}
	body, err := io.ReadAll(io.LimitReader(from, int64(limit)+1))
	if err != nil {
		return nil, errCutBody
	}
	if len(body) > limit {
		return nil, tooLarge(limit)
	}
	return body, nil
}

// field is one name that a body of T may hold.
type field[T any] struct {
	name string
	need bool // a new object must have it
	set  func(to *T, name string, raw []byte) config.Problems
}

// draft is a body taken apart: its members by their fields, and everything
// that is wrong so far.
type draft[T any] struct {
	fields     []field[T]
	members    []config.Member
	unreadable bool // it is no object at all
	problems   config.Problems
}

// parse takes a body apart: what is no object, unknown or given twice is a
// problem. Values are not looked at.
func parse[T any](body []byte, fields []field[T]) *draft[T] {
	d := &draft[T]{fields: fields}
	members, twice, err := config.Members(body)
	if err != nil {
		d.unreadable = true
		d.note("body", err.Error())
		return d
	}
	for _, m := range members {
		if d.field(m.Name) == nil {
			d.note(config.Quoted(m.Name), config.Unknown(m.Name, d.names()))
			continue
		}
		d.members = append(d.members, m)
	}
	for _, name := range twice {
		d.note(config.Quoted(name), "given twice")
	}
	return d
}

// require notes the fields that a new object lacks.
func (d *draft[T]) require() {
	if d.unreadable {
		return
	}
	given := map[string]bool{}
	for _, m := range d.members {
		given[m.Name] = true
	}
	for _, f := range d.fields {
		if f.need && !given[f.name] {
			d.note(f.name, "is required")
		}
	}
}

// fill sets the given fields of an object.
func (d *draft[T]) fill(to *T) config.Problems {
	var problems config.Problems
	for _, m := range d.members {
		problems = append(problems, d.field(m.Name).set(to, m.Name, m.Value)...)
	}
	return problems
}

// judge fills trial and notes what is wrong with the fields given: first the
// types, then what check finds in the filled object. A field that has a fault
// already gets no second one from check: it does not hold what was given.
func (d *draft[T]) judge(trial *T, check func(*T) config.Problems) config.Problems {
	d.problems = append(d.problems, d.fill(trial)...)
	faulty, given := map[string]bool{}, map[string]bool{}
	for _, p := range d.problems {
		faulty[root(p.Field)] = true
	}
	for _, m := range d.members {
		given[m.Name] = true
	}
	for _, p := range check(trial) {
		if r := root(p.Field); given[r] && !faulty[r] {
			d.problems = append(d.problems, p)
		}
	}
	return d.problems
}

func (d *draft[T]) note(field, message string) {
	d.problems = append(d.problems, config.Problem{Field: field, Message: message})
}

func (d *draft[T]) field(name string) *field[T] {
	for i := range d.fields {
		if d.fields[i].name == name {
			return &d.fields[i]
		}
	}
	return nil
}

func (d *draft[T]) names() []string {
	var names []string
	for _, f := range d.fields {
		names = append(names, f.name)
	}
	return names
}

// root is the field of a body that a problem's field lies in:
// "model_mapping" for "model_mapping[gpt-4]".
func root(field string) string {
	if i := strings.IndexAny(field, ".["); i > 0 {
		return field[:i]
	}
	return field
}
