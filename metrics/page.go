package metrics

import (
	"bytes"
	"math"
	"strconv"
)

// page is the text of one scrape.
type page struct {
	buf    []byte
	family string // the one being printed: its HELP and TYPE are above
}

// begin prints HELP and TYPE above the first sample of a family.
func (p *page) begin(family string) {
	if family == p.family {
		return
	}
	p.family = family
	f := families[family]
	p.head("# HELP ", family, f.help)
	p.head("# TYPE ", family, f.kind)
}

func (p *page) head(what, family, text string) {
	p.buf = append(p.buf, what...)
	p.buf = append(p.buf, family...)
	p.buf = append(p.buf, ' ')
	p.buf = append(p.buf, text...)
	p.buf = append(p.buf, '\n')
}

// sample prints one line; extra is a label of its own, "" for none.
func (p *page) sample(family, labels, extra, value string, n int64) {
	p.begin(family)
	p.series(family, "", labels, extra, value)
	p.buf = strconv.AppendInt(p.buf, n, 10)
	p.buf = append(p.buf, '\n')
}

// float prints one line of a value that need not be whole.
func (p *page) float(family, labels string, value float64) {
	p.begin(family)
	p.series(family, "", labels, "", "")
	if math.IsInf(value, 1) {
		p.buf = append(p.buf, "+Inf"...)
	} else {
		p.buf = strconv.AppendFloat(p.buf, value, 'f', -1, 64)
	}
	p.buf = append(p.buf, '\n')
}

func (p *page) series(family, suffix, labels, extra, value string) {
	p.buf = append(p.buf, family...)
	p.buf = append(p.buf, suffix...)
	p.buf = append(p.buf, '{')
	p.buf = append(p.buf, labels...)
	if extra != "" {
		p.buf = append(p.buf, ',')
		p.buf = append(p.buf, extra...)
		p.buf = append(p.buf, '=', '"')
		p.buf = append(p.buf, value...)
		p.buf = append(p.buf, '"')
	}
	p.buf = append(p.buf, '}', ' ')
}

// histogram prints all lines of one histogram. The count is the sum of the
// buckets as they were read, so that the page is whole while h goes on counting.
func (p *page) histogram(family, labels string, h *histogram) {
	p.begin(family)
	var n uint64
	for i := range h.counts {
		n += h.counts[i].Load()
		le := "+Inf"
		if i < len(h.bounds.le) {
			le = h.bounds.le[i]
		}
		p.series(family, "_bucket", labels, "le", le)
		p.number(n)
	}
	p.series(family, "_sum", labels, "", "")
	p.buf = strconv.AppendFloat(p.buf, float64(h.sum.Load())*h.bounds.unit, 'g', -1, 64)
	p.buf = append(p.buf, '\n')
	p.series(family, "_count", labels, "", "")
	p.number(n)
}

func (p *page) number(n uint64) {
	p.buf = strconv.AppendUint(p.buf, n, 10)
	p.buf = append(p.buf, '\n')
}

// appendLibrary adds what the library printed: with the texts that its HELP
// lines lack, with the types and names that Prometheus' rules want, and without
// the families that our table leaves out.
func (p *page) appendLibrary(text []byte) {
	for line := range bytes.Lines(text) {
		if name, ok := bytes.CutPrefix(line, []byte("# HELP ")); ok {
			p.family = string(bytes.TrimSpace(name))
			if f, to := renamed(p.family); f.kind != omit {
				p.head("# HELP ", to, f.help)
			}
			continue
		}
		f, to := renamed(p.family)
		switch rest, ok := bytes.CutPrefix(line, []byte("# TYPE ")); {
		case f.kind == omit:
		case ok:
			kind := string(bytes.TrimSpace(rest[len(p.family):]))
			if f.kind != "" {
				kind = f.kind
			}
			p.head("# TYPE ", to, kind)
		default:
			p.buf = append(p.buf, to...)
			p.buf = append(p.buf, line[len(p.family):]...)
		}
	}
}

// renamed returns what the table says of a family of the library, and its name.
func renamed(name string) (family, string) {
	f, ok := families[name]
	if !ok {
		f.help = "As the operating system or the Go runtime reports it."
	}
	if f.name != "" {
		name = f.name
	}
	return f, name
}
