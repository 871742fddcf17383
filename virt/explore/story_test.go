package explore_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt/explore"
)

// storyOf is the report of a program of the corpus.
func storyOf(t *testing.T, name string, model sched.MemoryModel) string {
	t.Helper()
	p := program{name: name}
	report := run(t, explore.Config{Wasm: p.wasm(t, ""), First: 1, Last: 1000, MemoryModel: model, Fuel: fuel})
	var text strings.Builder
	// A command that is "" is left out.
	if err := report.Write(&text, func(uint64, *explore.Schedule) string { return "" }); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text.String()) {
		line = strings.TrimSuffix(line, "\n")
		table, step := strings.Contains(line, "  output "), strings.HasPrefix(line, "    ")
		if utf8.RuneCountInString(line) > 80 && !table && !step || strings.HasPrefix(line, "  run ") {
			t.Errorf("%s: %q has more than 80 columns, or is a command without one", name, line)
		}
	}
	return text.String()
}

// A story says what is wrong in words that need no program.
func TestStories(t *testing.T) {
	for _, c := range []struct {
		name  string
		model sched.MemoryModel
		says  []string
	}{
		{"lost_update", 0, []string{"thread 1 (add)", "reads", "is stopped before an access to memory", "after this thread had looked: that write is lost", "the program ends: exit 1"}},
		{"deadlock_three", 0, []string{"nothing can go on:", "waits at", "wrote 1 before it did"}},
		{"use_before_init", 0, []string{": 0  [use]", "the program ends: trap: unreachable"}},
		{"sleep_sync", 0, []string{"one of them is needed, and timers fire late", "(the main thread waits in poll_oneoff;", "reads 0x1464: 0"}},
		{"signal_one", 0, []string{"wakes thread 2 (pass), one of 2 that wait at", "thread 1 (pass) waits at"}},
		{"aba", 0, []string{"it is 1 as when this thread looked, but thread 2 (two) has changed it meanwhile, and back"}},
		{"publication", 0, []string{"[publish]", "[use]", "writes", "the program ends: exit 1"}},
		{"peterson", sched.TotalStoreOrder, []string{"which this thread does not see yet"}},
	} {
		text := storyOf(t, c.name, c.model)
		for _, words := range c.says {
			if !strings.Contains(text, words) {
				t.Errorf("%s: the story does not say %q:\n%s", c.name, words, text)
			}
		}
	}
}

// A page needs nothing else, and escapes what comes from the guest.
func TestPage(t *testing.T) {
	p := program{name: "lost_update"}
	report := run(t, explore.Config{Wasm: p.wasm(t, ""), First: 1, Last: 100})
	for _, o := range report.Outcomes {
		o.Text = "<script>alert(1)</script>"
	}
	var page strings.Builder
	if err := report.WriteHTML(&page, "a<b", func(uint64, *explore.Schedule) string { return "x <y" }); err != nil {
		t.Fatal(err)
	}
	text := page.String()
	for _, words := range []string{"<svg", "marker-end", `class="cut"`, "a&lt;b", "x &lt;y", "that write is lost"} {
		if !strings.Contains(text, words) {
			t.Errorf("the page has no %q", words)
		}
	}
	for _, words := range []string{"<script", "http://", "https://", "src="} {
		if strings.Contains(text, words) {
			t.Errorf("the page has %q", words)
		}
	}
}
