package loadgen

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
	"time"
)

// The picture, in points: the size of a panel, and its plot's edges in it.
const (
	panelWidth, panelHeight = 800, 500
	plotLeft, plotRight     = 80, 770
	plotTop, plotBottom     = 80, 430
	plotSteps               = 400 // points of a line by percentile
	leastShown              = time.Microsecond
)

// plotColours are the targets'; they differ in brightness, too.
var plotColours = []string{"#1f5fbf", "#c2410c"}

// panel maps what is across, and times, to points. Times go up on a
// logarithmic scale.
type panel struct {
	top      float64 // of the panel in the picture
	across   float64 // at the right edge
	from, to float64 // log10 of nanoseconds
}

// Plot writes an SVG picture: the latency by percentile, a line for each
// target and rate; and the latency by rate, if there are several.
func (s Sweep) Plot(w io.Writer) error {
	var b strings.Builder
	panels := 1
	if len(s) > 1 {
		panels = 2
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%[2]d" viewBox="0 0 %[1]d %d" font-family="sans-serif" font-size="13">`+"\n", panelWidth, panels*panelHeight)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", panelWidth, panels*panelHeight)
	s.byPercentile(&b)
	if panels > 1 {
		s.byRate(&b)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// latencies are all that is drawn.
func (s Sweep) latencies() (all []*Histogram) {
	for _, r := range s {
		for i := range r.Targets {
			all = append(all, &r.Targets[i].Sum().Latency)
		}
	}
	return all
}

// newPanel finds an upward scale that all times between two shares fit in.
func newPanel(lines []*Histogram, low, high float64) *panel {
	least, most := time.Duration(math.MaxInt64), leastShown
	for _, h := range lines {
		if h.Count() > 0 {
			least, most = min(least, h.Quantile(low)), max(most, h.Quantile(high))
		}
	}
	least = max(leastShown, min(least, most))
	p := &panel{from: math.Floor(math.Log10(float64(least))), to: math.Ceil(math.Log10(float64(most)))}
	p.to = max(p.to, p.from+1)
	return p
}

func (p *panel) x(v float64) float64 { return plotLeft + v/p.across*(plotRight-plotLeft) }

func (p *panel) y(d time.Duration) float64 {
	up := (math.Log10(float64(max(d, leastShown))) - p.from) / (p.to - p.from)
	return p.top + plotBottom - max(0, up)*(plotBottom-plotTop)
}

// tick marks a place across.
func (p *panel) tick(b *strings.Builder, v float64, name string) {
	grid(b, p.x(v), p.top+plotTop, p.x(v), p.top+plotBottom)
	label(b, p.x(v), p.top+plotBottom+20, "middle", name)
}

// frame draws the title, the times and what is across.
func (p *panel) frame(b *strings.Builder, title, across string) {
	label(b, panelWidth/2, p.top+24, "middle", title)
	for e := p.from; e <= p.to; e++ {
		d := time.Duration(math.Round(math.Pow(10, e)))
		grid(b, plotLeft, p.y(d), plotRight, p.y(d))
		label(b, plotLeft-8, p.y(d)+4, "end", d.String())
	}
	label(b, (plotLeft+plotRight)/2, p.top+plotBottom+48, "middle", across)
	fmt.Fprintf(b, `<text transform="translate(18 %.0f) rotate(-90)" text-anchor="middle">latency (logarithmic)</text>`+"\n", p.top+(plotTop+plotBottom)/2)
}

// legend names the targets by their colours.
func (p *panel) legend(b *strings.Builder, targets []Measured, note string) {
	for i := range targets {
		x := plotLeft + i*320
		fmt.Fprintf(b, `<rect x="%d" y="%.0f" width="14" height="4" fill="%s"/>`+"\n", x, p.top+46, colour(i))
		label(b, float64(x+20), p.top+52, "start", targets[i].Name)
	}
	if note != "" {
		label(b, plotLeft, p.top+70, "start", note)
	}
}

// stroke is how a line looks.
type stroke struct {
	target int
	faint  float64 // from 0, full, to below 1
	dash   string  // as SVG has it; empty is a whole line
}

func (p *panel) line(b *strings.Builder, look stroke, points string) {
	dash := ""
	if look.dash != "" {
		dash = fmt.Sprintf(` stroke-dasharray="%s"`, look.dash)
	}
	fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="2" stroke-opacity="%.2f"%s points="%s"/>`+"\n",
		colour(look.target), 1-look.faint, dash, strings.TrimSpace(points))
}

func colour(target int) string { return plotColours[target%len(plotColours)] }

func grid(b *strings.Builder, x1, y1, x2, y2 float64) {
	fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#ddd"/>`+"\n", x1, y1, x2, y2)
}

func label(b *strings.Builder, x, y float64, anchor, text string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", x, y, anchor, html.EscapeString(text))
}
