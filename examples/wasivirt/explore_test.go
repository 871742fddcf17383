package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// bareGuest is one of the guests below virt/testdata/bare.
func bareGuest(name string) string {
	return filepath.Join("..", "..", "virt", "testdata", "bare", name+".wasm")
}

// invoked runs one command line and returns its status and standard output.
func invoked(t *testing.T, args ...string) (int, string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code, err := run(t.Context(), args, strings.NewReader(""), &out, &errOut)
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return code, out.String()
}

func TestExplore(t *testing.T) {
	t.Setenv(cacheVariable, "off")
	tests := []struct {
		name, what string
		end        int // the status of the seed's own run
	}{
		{"race_counter", "exit 1", 1},
		{"deadlock_mutexes", "deadlock", exitDeadlock},
		{"missed_wakeup", "deadlock", exitDeadlock},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			code, out := invoked(t, "explore", "-seeds", "1..200", bareGuest(tc.name))
			if code != 1 || !strings.Contains(out, tc.what) {
				t.Fatalf("status %d, want 1 and %q in\n%s", code, tc.what, out)
			}
			_, command, ok := strings.Cut(out, "run it again: wasivirt ")
			if !ok {
				t.Fatalf("no command in\n%s", out)
			}
			command, _, _ = strings.Cut(command, "\n")
			for range 3 {
				if code, _ := invoked(t, strings.Fields(command)...); code != tc.end {
					t.Errorf("%s: status %d, want %d", command, code, tc.end)
				}
			}
			if code, out := invoked(t, "explore", "-seeds", "1..50", bareGuest(tc.name+"_fixed")); code != 0 {
				t.Errorf("the corrected guest: status %d\n%s", code, out)
			}
		})
	}
}

func TestRecordReplayRewrite(t *testing.T) {
	t.Setenv(cacheVariable, "off")
	tape := filepath.Join(t.TempDir(), "tape")
	want, _ := invoked(t, "run", "-record", tape, "-threads", "4", bareGuest("race_counter"))
	if code, _ := invoked(t, "replay", tape, bareGuest("race_counter")); code != want {
		t.Errorf("replay: status %d, want %d", code, want)
	}
	out := tape + ".wasm"
	invoked(t, "rewrite", "-o", out, "-deterministic", "1", bareGuest("race_counter"))
	before, err := os.Stat(bareGuest("race_counter"))
	if err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(out); err != nil || after.Size() <= before.Size() {
		t.Errorf("rewritten: %v, %v", after, err)
	}
}
