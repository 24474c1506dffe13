package admin

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"llmproxy/config"
	"llmproxy/store"
	"llmproxy/usage"
)

// question is the query of a request about usage, taken apart: each parameter
// once, and everything that is wrong so far.
type question struct {
	given    map[string]string
	accept   string
	problems config.Problems
}

// ask takes the query of a request apart: a parameter that is unknown, given
// twice, empty or no text is a problem. Values are not looked at.
func ask(ctx *fasthttp.RequestCtx, known ...string) *question {
	q := &question{given: map[string]string{}, accept: string(ctx.Request.Header.Peek(fasthttp.HeaderAccept))}
	for key, value := range ctx.QueryArgs().All() {
		name, text := string(key), string(value)
		_, twice := q.given[name]
		switch {
		case !slices.Contains(known, name):
			q.note(config.Quoted(name), config.Unknown(name, known))
			continue
		case twice:
			q.note(name, "given twice")
		case text == "":
			q.note(name, "must not be empty")
		case !isText(text):
			q.note(name, "must be UTF-8 text without control characters")
		}
		q.given[name] = text
	}
	return q
}

// isText reports whether a database can hold, and a log or table show, the text.
func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

func (q *question) note(field, message string) {
	q.problems = append(q.problems, config.Problem{Field: field, Message: message})
}

// read calls f with a parameter that was given and has no fault yet; f answers
// with what is wrong.
func (q *question) read(name string, f func(value string) string) {
	value, given := q.given[name]
	if !given || slices.ContainsFunc(q.problems, func(p config.Problem) bool { return p.Field == name }) {
		return
	}
	if wrong := f(value); wrong != "" {
		q.note(name, wrong)
	}
}

// filter reads what sums and records have in common. Without a time it is the
// last day.
func (q *question) filter(now time.Time) (f store.UsageFilter) {
	f.From, f.To = q.span(now.UTC())
	q.read("key", func(value string) string {
		id, err := strconv.ParseInt(value, 10, 64)
		if err != nil || id < 0 {
			return "must be the id of a credential, or 0 for requests without one; by its name it is key_name"
		}
		f.KeyID = &id
		return ""
	})
	q.read("key_name", func(string) string {
		if _, both := q.given["key"]; both {
			return "must not be given beside key"
		}
		return ""
	})
	for name, place := range map[string]*string{"model": &f.Model, "provider": &f.Provider, "endpoint": &f.Endpoint} {
		q.read(name, func(value string) string { *place = value; return "" })
	}
	q.read("outcome", func(value string) string {
		if usage.ParseOutcome(value).String() != value {
			return "must be ok, rejected, error, truncated or client_gone"
		}
		f.Outcome = value
		return ""
	})
	return f
}

const day = 24 * time.Hour

// span reads from and to.
func (q *question) span(now time.Time) (from, to time.Time) {
	to = now
	q.read("to", readMoment(&to))
	from = to.Add(-day)
	q.read("from", readMoment(&from))
	q.read("from", func(string) string {
		if !from.Before(to) {
			return "must be before to, which is now unless it is given, and is not included"
		}
		return ""
	})
	return from, to
}

// readMoment reads a moment as RFC 3339 writes it, or the beginning of a day (UTC).
func readMoment(to *time.Time) func(string) string {
	return func(value string) string {
		// A '+' that was not escaped has become a space.
		at, err := time.Parse(time.RFC3339, strings.Replace(value, " ", "+", 1))
		if err != nil {
			at, err = time.Parse(time.DateOnly, value)
		}
		if at = at.UTC(); err != nil || at.Year() < 1970 || at.Year() > 9000 {
			return "must be a time such as 2026-01-31T12:00:00Z, or a day such as 2026-01-31"
		}
		*to = at
		return ""
	}
}

// groups reads group_by; never nil.
func (q *question) groups() []string {
	groups := []string{}
	q.read("group_by", func(value string) string {
		groups = strings.Split(value, ",")
		return wrongGroups(groups)
	})
	return groups
}

func wrongGroups(groups []string) string {
	known := store.UsageGroups()
	for i, g := range groups {
		switch {
		case !slices.Contains(known, g):
			return "must be names of " + strings.Join(known, ", ") + ", with commas between them"
		case slices.Contains(groups[:i], g):
			return "has " + g + " twice"
		}
	}
	if slices.Contains(groups, "day") && slices.Contains(groups, "hour") {
		return "must not be both day and hour"
	}
	return ""
}

// limit reads how many records a page has.
func (q *question) limit() int {
	n := 100
	q.read("limit", func(value string) string {
		given, err := strconv.Atoi(value)
		if err != nil || given < 1 || given > maxPage {
			return "must be a whole number from 1 to " + strconv.Itoa(maxPage)
		}
		n = given
		return ""
	})
	return n
}

// wantsCSV reads format, or else what the client accepts first.
func (q *question) wantsCSV() (csv bool) {
	if _, given := q.given["format"]; !given {
		table, object := strings.Index(q.accept, "text/csv"), strings.Index(q.accept, "application/json")
		return table >= 0 && (object < 0 || table < object)
	}
	q.read("format", func(value string) string {
		csv = value == "csv"
		if !csv && value != "json" {
			return "must be json or csv"
		}
		return ""
	})
	return csv
}
