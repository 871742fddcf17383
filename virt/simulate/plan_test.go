package simulate

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const planText = `n1 fd_write:/data/**:nth=3:EIO
n1 fd_sync:*:delay=20ms at=5ms:for=500ms
n3 node:at=1s:jump=-2s
n1 node:at=1.2s:powerloss:for=300ms
n1-n2 link:at=2s:cut:for=1s
n1>n2 link:at=2s:cut:for=1s
n1-n2 link:at=2s:delay=50ms:jitter=10ms:loss=0.1:for=1s
n1-n2 link:at=3s:reset
n2 node:at=4s:pause:for=500ms`

// A plan as a text is the same plan.
func TestPlanText(t *testing.T) {
	plan, err := ParsePlan("# what goes wrong\n\n" + planText)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(planText, plan.String()); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	for seed := range uint64(500) {
		drawn := Nemesis{Kinds: Kinds()}.Draw(seed, 10*time.Second, []string{"a", "b", "c"})
		again, err := ParsePlan(drawn.String())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(drawn, again); diff != "" {
			t.Fatalf("seed %d (-want +got):\n%s", seed, diff)
		}
	}
}

func TestPlanErrors(t *testing.T) {
	for text, want := range map[string]string{
		"n1":                            "want NODE RULE",
		"n1 node:at=1s":                 "no effect",
		"n1 node:at=1s:cut:for=1s":      "two for link",
		"n1-n2 link:crash":              "want one node",
		"n1 link:cut":                   "want two nodes",
		"n1-n2 link:cut":                "for= is missing",
		"n1 node:crash:pause":           "already",
		"n1 node:crash=1":               "takes no value",
		"n1 node:at=-1s:crash":          "negative",
		"n1 node:at=x:crash":            "at=x",
		"n1-n2 link:loss=2:for=1s":      "probability",
		"n1>n2 link:reset":              "direction",
		"n1 fd_write:nothing":           "unknown field",
		"n1 fd_write:*:EIO until=1s":    "unknown field",
		"n1 node:at=1s:crash:forever=1": "unknown field",
	} {
		if _, err := ParsePlan(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
	plan, err := ParsePlan("n9 node:crash")
	if err != nil {
		t.Fatal(err)
	}
	if err := plan.check([]string{"n1"}); err == nil || !strings.Contains(err.Error(), `no node "n9"`) {
		t.Errorf("error %v, want one that names n9", err)
	}
}
