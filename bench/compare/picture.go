package main

import (
	"fmt"
	"html"
	"os"
	"slices"
	"strings"
)

// The picture, in points.
const (
	pictureWidth = 800
	pictureTop   = 70
	barPitch     = 44
	barHeight    = 28
	barLeft      = 130
	barRight     = 640
)

// draw writes the medians as an SVG picture: a bar for each server, the
// cheapest on top.
func (r *report) draw(file string) error {
	names := make([]string, 0, len(r.Cost))
	most := 0.0
	for name, cost := range r.Cost {
		names = append(names, name)
		most = max(most, cost)
	}
	slices.SortFunc(names, func(a, b string) int {
		if r.Cost[a] < r.Cost[b] {
			return -1
		}
		return 1
	})
	height := pictureTop + len(names)*barPitch + 40
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="14">`+"\n", pictureWidth, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", pictureWidth, height)
	fmt.Fprintf(&b, `<text x="20" y="28" font-size="17" font-weight="bold">Processor time per %s, in microseconds (less is better)</text>`+"\n", r.unit())
	fmt.Fprintf(&b, `<text x="20" y="50" fill="#555">%s; medians of %d rounds</text>`+"\n", html.EscapeString(r.Load), r.o.rounds)
	for i, name := range names {
		y := pictureTop + i*barPitch
		colour := "#9aa7b8"
		if name == r.servers[0].Name {
			colour = "#1f5fbf"
		}
		width := r.Cost[name] / most * (barRight - barLeft)
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", barLeft-10, y+19, html.EscapeString(name))
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", barLeft, y, width, barHeight, colour)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d">%.1f</text>`+"\n", barLeft+width+8, y+19, r.Cost[name])
	}
	fmt.Fprintf(&b, `<text x="20" y="%d" fill="#555" font-size="12">%s</text>`+"\n</svg>\n", height-14, html.EscapeString(r.Machine))
	return os.WriteFile(file, []byte(b.String()), 0o644)
}
