package main

import (
	"fmt"
	"html"
	"io"
	"math"
	"slices"
)

// colours are those of the hosts that are drawn, in the order of the legend.
var colours = []struct{ host, colour string }{
	{"memfs", "#0b6e4f"}, {"hostfs", "#1d4ed8"}, {"overlay", "#7c3aed"},
	{"minimal", "#9ca3af"}, {"wazero-dir", "#d97706"}, {"wazy", "#0891b2"}, {"wasi-go", "#dc2626"}, {"node", "#65a30d"},
}

// The plot's measures in pixels.
const (
	labels = 190 // the names of the rows
	width  = 620 // the scale
	step   = 22  // from row to row
	top    = 60
)

// plot draws each host's time as a dot in each row, on a logarithmic scale: a dot further left is
// faster.
func (t *table) plot(w io.Writer) {
	rows := slices.DeleteFunc(slices.Clone(t.rows), func(row string) bool {
		return atOnce.MatchString(row) || row == entryRow // no times of a call
	})
	low, high := math.Inf(1), 0.0
	for c, rounds := range t.cells {
		if slices.Contains(rows, c.row) && slices.ContainsFunc(colours, func(d struct{ host, colour string }) bool { return d.host == c.host }) {
			low, high = min(low, slices.Min(rounds)), max(high, slices.Min(rounds))
		}
	}
	if high == 0 {
		low, high = 1, 10
	}
	first, last := math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
	if last == first {
		last++
	}
	x := func(ns float64) float64 { return labels + width*(math.Log10(ns)-first)/(last-first) }
	height := top + step*len(rows) + 30
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", labels+width+40, height)
	fmt.Fprintf(w, `<rect width="100%%" height="100%%" fill="white"/><text x="10" y="18" font-size="14">Time of a call: further left is faster</text>`+"\n")
	at := labels
	for _, c := range colours {
		measured := func(row string) bool { _, _, ok := t.least(row, c.host); return ok }
		if slices.ContainsFunc(rows, measured) {
			fmt.Fprintf(w, `<circle cx="%d" cy="36" r="5" fill="%s"/><text x="%d" y="40">%s</text>`+"\n", at, c.colour, at+9, c.host)
			at += 84
		}
	}
	bottom := top + step*len(rows)
	for e := first; e <= last; e++ {
		at := x(math.Pow(10, e))
		fmt.Fprintf(w, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#e5e7eb"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			at, at, top-10, bottom, at, bottom+16, unit(math.Pow(10, e)))
	}
	for i, row := range rows {
		y := top + step*i + 8
		fmt.Fprintf(w, `<text x="%d" y="%d" text-anchor="end">%s</text><line x1="%d" x2="%d" y1="%d" y2="%d" stroke="#f3f4f6"/>`+"\n",
			labels-12, y+4, html.EscapeString(row), labels, labels+width, y, y)
		for _, c := range slices.Backward(colours) {
			if ns, _, ok := t.least(row, c.host); ok {
				fmt.Fprintf(w, `<circle cx="%.1f" cy="%d" r="5" fill="%s" fill-opacity="0.85"><title>%s: %s ns</title></circle>`+"\n",
					x(ns), y, c.colour, c.host, grouped(ns))
			}
		}
	}
	fmt.Fprintln(w, "</svg>")
}

// unit writes a time.
func unit(ns float64) string {
	switch {
	case ns >= 1e6:
		return grouped(ns/1e6) + " ms"
	case ns >= 1e3:
		return grouped(ns/1e3) + " µs"
	}
	return grouped(ns) + " ns"
}
