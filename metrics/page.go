package metrics

import (
	"bytes"
	"io"
	"math"
	"strconv"
)

// pieceBytes is about how long the pieces are in which a page is written: some
// 60 µs of work each. A piece ends behind a line, or a histogram's last one.
const pieceBytes = 64 << 10

// mostLines is more than a histogram has bytes, unless its labels are long.
const mostLines = 8 << 10

// page is the text of one scrape, of which a piece is in memory at a time.
type page struct {
	to     io.Writer
	piece  int    // bytes after which a piece may end
	buf    []byte // printed and not yet written
	family string // the one being printed: its HELP and TYPE are above

	written int64
	err     error // of to; nothing is printed after it
}

func newPage(to io.Writer) page {
	return page{to: to, piece: pieceBytes, buf: make([]byte, 0, pieceBytes+mostLines)}
}

// flush writes what has been printed.
func (p *page) flush() {
	if p.err != nil || len(p.buf) == 0 {
		return
	}
	n, err := p.to.Write(p.buf)
	p.written += int64(n)
	p.buf, p.err = p.buf[:0], err
}

// breathe is a place between two lines where a piece may end.
func (p *page) breathe() {
	if len(p.buf) >= p.piece {
		p.flush()
	}
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
	if p.err != nil {
		return
	}
	p.begin(family)
	p.series(family, "", labels, extra, value)
	p.buf = strconv.AppendInt(p.buf, n, 10)
	p.buf = append(p.buf, '\n')
	p.breathe()
}

// float prints one line of a value that need not be whole.
func (p *page) float(family, labels string, value float64) {
	if p.err != nil {
		return
	}
	p.begin(family)
	p.series(family, "", labels, "", "")
	if math.IsInf(value, 1) {
		p.buf = append(p.buf, "+Inf"...)
	} else {
		p.buf = strconv.AppendFloat(p.buf, value, 'f', -1, 64)
	}
	p.buf = append(p.buf, '\n')
	p.breathe()
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
	if p.err != nil {
		return
	}
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
	p.breathe()
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
