package explore

import (
	"fmt"
	"html"
	"io"
	"maps"
	"slices"
	"strings"
)

// The measures of a page, in pixels.
const (
	laneWidth = 380
	rowHeight = 34
	topHeight = 46
)

// page is what stands around the stories. It loads nothing.
const page = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>%s</title><style>
body{font:15px/1.45 system-ui,sans-serif;margin:2em;color:#1b1f24;background:#fff}
h1{font-size:1.4em}h2{font-size:1.15em;margin-top:2.2em}
table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:left;border-bottom:1px solid #d8dee4}
code,pre{font:13px/1.5 ui-monospace,monospace}pre{background:#f6f8fa;padding:.8em;overflow-x:auto;white-space:pre-wrap}
svg{display:block;margin:1em 0;font:13px system-ui,sans-serif}
.lane{stroke:#d0d7de}.name{font-weight:600}.where{fill:#656d76;font-size:11px}
.box{fill:#f6f8fa;stroke:#d0d7de}.odd{fill:#fff1e5;stroke:#bc4c00}
.note{fill:#bc4c00;font-size:12px}.cut{stroke:#cf222e;stroke-width:2;stroke-dasharray:6 3}.cuttext{fill:#cf222e;font-weight:600}
.turn{stroke:#8c959f;stroke-dasharray:2 4}.turntext{fill:#8c959f}.sees{fill:none;stroke:#0969da}
</style></head><body>
`

// WriteHTML writes the report as one self-contained page. It shows the outcomes and the story of
// each, with a lane for each thread, the switches that matter, and arrows from each write to the
// reads that saw it and the writes that replaced it. command is as for Write.
func (r *Report) WriteHTML(w io.Writer, title string, command func(seed uint64, s *Schedule) string) error {
	var b strings.Builder
	fmt.Fprintf(&b, page, html.EscapeString(title))
	fmt.Fprintf(&b, "<h1>%s</h1>\n", html.EscapeString(title))
	if r.Proof != nil {
		fmt.Fprintf(&b, "<p>%s</p>\n", html.EscapeString(r.Proof.String()))
	}
	b.WriteString("<table><tr><th>runs</th><th>share</th><th>how they end</th><th>lowest seed</th></tr>\n")
	shown := r.Outcomes[:min(len(r.Outcomes), maxShown)]
	for _, o := range shown {
		fmt.Fprintf(&b, "<tr><td>%d</td><td>%.1f%%</td><td>%s, output %x</td><td>%d</td></tr>\n",
			o.Seeds, 100*float64(o.Seeds)/float64(r.Runs), html.EscapeString(o.What), o.Output, o.Seed)
	}
	b.WriteString("</table>\n")
	for _, o := range shown {
		if o.Result.Success() {
			continue
		}
		fmt.Fprintf(&b, "<h2>Seed %d: %s</h2>\n", o.Seed, html.EscapeString(o.What))
		if o.Text != "" {
			fmt.Fprintf(&b, "<p>It printed:</p><pre>%s</pre>\n", html.EscapeString(o.Text))
		}
		if s := o.Schedule; s != nil {
			fmt.Fprintf(&b, "<p>%d switches of threads, from %d; %s. Red lines are where a thread was stopped that could have gone on. "+
				"Blue arrows lead from what was written to who saw it, or wrote over it.</p>\n", len(s.Switches), s.Before, html.EscapeString(s.needs()))
			s.Story.draw(&b)
		}
		if command != nil && o.Order == nil && (o.Plan == nil || o.Schedule == nil) {
			fmt.Fprintf(&b, "<p>Run it again:</p><pre>%s</pre>\n", html.EscapeString(command(o.Seed, o.varied(r.punctual))))
		}
		if command != nil && o.Schedule != nil {
			if again := command(o.Seed, o.Schedule); again != "" {
				fmt.Fprintf(&b, "<p>Run this schedule:</p><pre>%s</pre>\n", html.EscapeString(again))
			}
		}
	}
	b.WriteString("</body></html>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// base is a line without the directory of its file.
func base(line string) string { return line[strings.LastIndexByte(line, '/')+1:] }

// draw writes the story as a picture.
func (s *Story) draw(b *strings.Builder) {
	threads := slices.Sorted(maps.Keys(s.Threads))
	lane := map[uint32]int{}
	for i, t := range threads {
		lane[t] = i * laneWidth
	}
	width := max(len(threads), 1)*laneWidth + laneWidth/2 // notes may be wider than a lane
	rows := make([]int, len(s.Steps))
	y := topHeight
	for i, step := range s.Steps {
		rows[i] = y
		if y += rowHeight; step.Note != "" {
			y += rowHeight / 2
		}
	}
	height := y + 10
	fmt.Fprintf(b, `<svg width="%d" height="%d" viewBox="0 0 %d %d" role="img">`, width, height, width, height)
	b.WriteString(`<defs><marker id="head" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#0969da"/></marker></defs>` + "\n")
	for _, t := range threads {
		fmt.Fprintf(b, `<text class="name" x="%d" y="20">%s</text><line class="lane" x1="%d" y1="28" x2="%d" y2="%d"/>`+"\n",
			lane[t]+12, html.EscapeString(s.name(t)), lane[t]+4, lane[t]+4, height)
	}
	for i, step := range s.Steps {
		x, y := lane[step.Thread]+12, rows[i]
		if step.Switch {
			kind := "turn"
			if step.Forced {
				kind = "cut"
			}
			fmt.Fprintf(b, `<line class="%s" x1="0" y1="%d" x2="%d" y2="%d"/><text class="%stext" x="12" y="%d">%s</text>`+"\n",
				kind, y+22, width, y+22, kind, y+16, html.EscapeString(step.Text))
			continue
		}
		class := "box"
		if step.Note != "" {
			class = "box odd"
		}
		fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="%d" height="%d" rx="4"/>`, class, x, y, laneWidth-24, rowHeight-4)
		fmt.Fprintf(b, `<text x="%d" y="%d">%s</text>`, x+8, y+14, html.EscapeString(step.Text))
		fmt.Fprintf(b, `<text class="where" x="%d" y="%d">%s</text>`, x+8, y+26, html.EscapeString(strings.TrimSpace(step.Function+" "+base(step.Line))))
		if step.Note != "" {
			fmt.Fprintf(b, `<text class="note" x="%d" y="%d">%s</text>`, x, y+rowHeight+9, html.EscapeString(step.Note))
		}
		b.WriteByte('\n')
		if from := step.From - 1; from >= 0 && s.Steps[from].Thread != step.Thread {
			x1, y1 := lane[s.Steps[from].Thread]+12, rows[from]+rowHeight/2
			x2, y2 := x, y+rowHeight/2
			if x2 > x1 {
				x1 += laneWidth - 24
			} else {
				x2 += laneWidth - 24
			}
			fmt.Fprintf(b, `<path class="sees" marker-end="url(#head)" d="M%d,%d C%d,%d %d,%d %d,%d"/>`+"\n", x1, y1, (x1+x2)/2, y1, (x1+x2)/2, y2, x2, y2)
		}
	}
	b.WriteString("</svg>\n")
	fmt.Fprintf(b, "<p>%s</p>\n", strings.ReplaceAll(html.EscapeString(s.End), "\n", "<br>"))
	if s.Left > 0 {
		fmt.Fprintf(b, "<p>%d steps that do not matter were left out.</p>\n", s.Left)
	}
}
