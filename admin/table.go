package admin

import (
	"encoding/csv"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"
)

// table is an answer as CSV (RFC 4180): a header line, then rows.
type table struct {
	name   string // of the file that a browser makes of it
	header []string
	rows   [][]string
	more   [2]string // a header line of HTTP that says that there are more rows; or none
}

// write writes the whole answer, like writeJSON.
func (t *table) write(ctx *fasthttp.RequestCtx, status int) {
	h := &ctx.Response.Header
	h.Set(fasthttp.HeaderCacheControl, "no-store")
	h.Set(fasthttp.HeaderXContentTypeOptions, "nosniff")
	h.Set(fasthttp.HeaderContentDisposition, `attachment; filename="`+t.name+`.csv"`)
	if t.more[0] != "" {
		h.Set(t.more[0], t.more[1])
	}
	ctx.SetContentType("text/csv; charset=utf-8")
	ctx.SetStatusCode(status)
	w := csv.NewWriter(ctx.Response.BodyWriter())
	_ = w.Write(t.header) // to memory: it cannot fail
	_ = w.WriteAll(t.rows)
}

// cell makes a text harmless for spreadsheets, which take a cell that begins
// so for a formula, even behind spaces:
// https://owasp.org/www-community/attacks/CSV_Injection
func cell(text string) string {
	first := strings.TrimLeft(text, " \u00a0\u3000")
	for _, sign := range []string{"=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"} {
		if strings.HasPrefix(first, sign) {
			return "'" + text
		}
	}
	return text
}

// column is one column of a table: its name, and what a row has there.
type column[T any] struct {
	name string
	of   func(*T) string
}

// tableOf fills a table with a row for each of all.
func tableOf[T any](name string, columns []column[T], all []T) *table {
	t := &table{name: name, rows: make([][]string, len(all))}
	for _, c := range columns {
		t.header = append(t.header, c.name)
	}
	for i := range all {
		row := make([]string, len(columns))
		for j, c := range columns {
			row[j] = c.of(&all[i])
		}
		t.rows[i] = row
	}
	return t
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// amount writes a number as JSON does; nil is nothing.
func amount(f *float64) string {
	if f == nil {
		return ""
	}
	return strconv.FormatFloat(*f, 'f', -1, 64)
}
