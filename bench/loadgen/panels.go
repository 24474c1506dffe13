package loadgen

import (
	"fmt"
	"math"
	"strings"
)

// byPercentile draws the upper panel. Each step across leaves a tenth of the
// requests (50 %, 90 %, 99 %, …), as HdrHistogram plots do.
func (s Sweep) byPercentile(b *strings.Builder) {
	lines := s.latencies()
	p := newPanel(lines, 0, 1)
	count := int64(10)
	for _, h := range lines {
		count = max(count, h.Count())
	}
	p.across = math.Ceil(math.Log10(float64(count))) // 3 is 99.9 %
	p.frame(b, "Latency by percentile, "+s.loads(), "share of the requests that took no longer")
	p.tick(b, 0, "0 %")
	p.tick(b, math.Log10(2), "50 %")
	for n := 1.0; n <= p.across; n++ {
		p.tick(b, n, fmt.Sprintf("%.*f %%", max(0, int(n)-2), 100-100*math.Pow(10, -n)))
	}
	note := ""
	if len(s) > 1 {
		note = "from the faintest to the strongest line: " + s.loads()
	}
	p.legend(b, s[0].Targets, note)
	for i, r := range s {
		faint := 0.75 * float64(len(s)-1-i) / float64(max(1, len(s)-1))
		for t := range r.Targets {
			p.quantiles(b, &r.Targets[t].Sum().Latency, stroke{target: t, faint: faint})
		}
	}
}

// loads names the rates, or the closed loop.
func (s Sweep) loads() string {
	if s[0].Plan.Closed {
		return fmt.Sprintf("%d busy connections", s[0].Plan.Connections)
	}
	var rates []string
	for _, r := range s {
		rates = append(rates, fmt.Sprintf("%g", r.Plan.Rate))
	}
	return strings.Join(rates, ", ") + " requests a second"
}

// quantiles draws a histogram up to the quantile that a single request stands
// for.
func (p *panel) quantiles(b *strings.Builder, h *Histogram, look stroke) {
	if h.Count() == 0 {
		return
	}
	var points strings.Builder
	last := math.Log10(float64(h.Count()))
	for i := range plotSteps + 1 {
		nines := last * float64(i) / plotSteps
		fmt.Fprintf(&points, "%.1f,%.1f ", p.x(nines), p.y(h.Quantile(1-math.Pow(10, -nines))))
	}
	fmt.Fprintf(&points, "%.1f,%.1f", p.x(last), p.y(h.Max()))
	p.line(b, look, points.String())
}

// drawnByRate are the lines of the lower panel.
var drawnByRate = []struct {
	q    float64
	dash string
}{{0.5, "2 4"}, {0.99, ""}, {0.999, "8 4"}}

// byRate draws the lower panel: how the latency grows with the rate.
func (s Sweep) byRate(b *strings.Builder) {
	p := newPanel(s.latencies(), 0.5, 0.999)
	p.top = panelHeight
	for _, r := range s {
		p.across = max(p.across, r.Plan.Rate)
	}
	p.frame(b, "Latency by rate", "requests a second")
	p.legend(b, s[0].Targets, "dotted: p50; whole: p99; dashed: p99.9")
	for _, r := range s {
		p.tick(b, r.Plan.Rate, fmt.Sprintf("%g", r.Plan.Rate))
	}
	for t := range s[0].Targets {
		for _, d := range drawnByRate {
			p.line(b, stroke{target: t, dash: d.dash}, s.points(p, t, d.q))
		}
	}
}

// points are a target's times at all rates at which it has any.
func (s Sweep) points(p *panel, target int, q float64) string {
	var points strings.Builder
	for _, r := range s {
		if h := &r.Targets[target].Sum().Latency; h.Count() > 0 {
			fmt.Fprintf(&points, "%.1f,%.1f ", p.x(r.Plan.Rate), p.y(h.Quantile(q)))
		}
	}
	return points.String()
}
