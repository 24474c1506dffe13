package loadgen

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
	"time"
)

// The picture, in points: its size, and the plot's edges in it.
const (
	plotWidth, plotHeight = 800, 480
	plotLeft, plotRight   = 80, 780
	plotTop, plotBottom   = 70, 420
	plotSteps             = 400 // points of a line
	leastShown            = time.Microsecond
)

var plotColours = []string{"#1f5fbf", "#c2410c"}

// plot maps shares and times to points. Both axes are logarithmic: across,
// each step leaves a tenth of the requests (50 %, 90 %, 99 %, …), as
// HdrHistogram plots do; up, each is ten times as long.
type plot struct {
	nines    float64 // at the right edge: 3 is 99.9 %
	from, to float64 // log10 of nanoseconds
}

// Plot writes the latency by percentile as an SVG picture, a line a target.
func (r *Report) Plot(w io.Writer) error {
	var lines []*Histogram
	for i := range r.Targets {
		lines = append(lines, &r.Targets[i].Sum().Latency)
	}
	p := newPlot(lines)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%[2]d" viewBox="0 0 %[1]d %d" font-family="sans-serif" font-size="13">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", plotWidth, plotHeight)
	b.WriteString(label(plotWidth/2, 24, "middle", fmt.Sprintf("Latency by percentile, %g requests a second", r.Plan.Rate)))
	p.axes(&b)
	for i, h := range lines {
		p.line(&b, h, plotColours[i%len(plotColours)])
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="14" height="4" fill="%s"/>`+"\n", plotLeft+i*350, 46, plotColours[i%len(plotColours)])
		b.WriteString(label(plotLeft+20+float64(i*350), 52, "start", r.Targets[i].Name))
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// newPlot finds edges that all lines fit between.
func newPlot(lines []*Histogram) plot {
	least, most, count := time.Duration(math.MaxInt64), leastShown, int64(10)
	for _, h := range lines {
		if h.Count() > 0 {
			least, most, count = min(least, h.Quantile(0)), max(most, h.Max()), max(count, h.Count())
		}
	}
	least = max(leastShown, min(least, most))
	p := plot{nines: math.Ceil(math.Log10(float64(count))), from: math.Floor(math.Log10(float64(least))), to: math.Ceil(math.Log10(float64(most)))}
	p.to = max(p.to, p.from+1)
	return p
}

func (p *plot) x(nines float64) float64 { return plotLeft + nines/p.nines*(plotRight-plotLeft) }

func (p *plot) y(d time.Duration) float64 {
	up := (math.Log10(float64(max(d, leastShown))) - p.from) / (p.to - p.from)
	return plotBottom - max(0, up)*(plotBottom-plotTop)
}

// axes draws the grid, its figures and the titles.
func (p *plot) axes(b *strings.Builder) {
	tick := func(nines float64, name string) {
		grid(b, p.x(nines), plotTop, p.x(nines), plotBottom)
		b.WriteString(label(p.x(nines), plotBottom+20, "middle", name))
	}
	tick(0, "0 %")
	tick(math.Log10(2), "50 %")
	for n := 1.0; n <= p.nines; n++ {
		tick(n, fmt.Sprintf("%.*f %%", max(0, int(n)-2), 100-100*math.Pow(10, -n)))
	}
	for e := p.from; e <= p.to; e++ {
		d := time.Duration(math.Round(math.Pow(10, e)))
		grid(b, plotLeft, p.y(d), plotRight, p.y(d))
		b.WriteString(label(plotLeft-8, p.y(d)+4, "end", d.String()))
	}
	b.WriteString(label((plotLeft+plotRight)/2, plotHeight-16, "middle", "share of the requests that took no longer"))
	fmt.Fprintf(b, `<text transform="translate(18 %d) rotate(-90)" text-anchor="middle">latency (logarithmic)</text>`+"\n", (plotTop+plotBottom)/2)
}

// line draws the quantiles of a histogram, up to the one that a single
// request stands for.
func (p *plot) line(b *strings.Builder, h *Histogram, colour string) {
	if h.Count() == 0 {
		return
	}
	fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="2" points="`, colour)
	last := math.Log10(float64(h.Count()))
	for i := range plotSteps + 1 {
		nines := last * float64(i) / plotSteps
		fmt.Fprintf(b, "%.1f,%.1f ", p.x(nines), p.y(h.Quantile(1-math.Pow(10, -nines))))
	}
	fmt.Fprintf(b, "%.1f,%.1f\"/>\n", p.x(last), p.y(h.Max()))
}

func grid(b *strings.Builder, x1, y1, x2, y2 float64) {
	fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#ddd"/>`+"\n", x1, y1, x2, y2)
}

func label(x, y float64, anchor, text string) string {
	return fmt.Sprintf(`<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", x, y, anchor, html.EscapeString(text))
}
