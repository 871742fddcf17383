package doccheck

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The table of platforms says what CI does, and the table of versions what go.mod says.
func TestPlatforms(t *testing.T) {
	read := func(name string) string {
		b, err := os.ReadFile("../../" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	page, ci, mod := read("docs/compatibility.md"), read(".ci/run"), read("go.mod")
	loop := regexp.MustCompile(`for target in ([^;]*); do`).FindStringSubmatch(ci)
	if loop == nil {
		t.Fatal("CI builds for no other systems")
	}
	vetted, emulated := strings.Fields(loop[1]), strings.Contains(ci, "GOARCH=arm64 go test")
	row := regexp.MustCompile(`(?m)^\| ([a-z]+/[a-z0-9]+) \| ([^|]*) \| ([^|]*) \|`)
	var told []string
	for _, m := range row.FindAllStringSubmatch(page, -1) {
		target, tests, built := m[1], m[2], m[3]
		if built != "yes" {
			t.Errorf("%s: built and vetted: %q, want yes or no row", target, built)
		}
		switch tested := tests != "no"; {
		case target == "linux/amd64":
			continue // what CI runs on
		case tested != (target == "linux/arm64" && emulated):
			t.Errorf("%s: tests: %q, which is not what CI does", target, tests)
		}
		told = append(told, target)
	}
	if slices.Sort(told); !slices.Equal(told, slices.Sorted(slices.Values(vetted))) {
		t.Errorf("the table has %v, CI vets %v", told, vetted)
	}
	for name, pattern := range map[string]string{"Go": `(?m)^go (\d+\.\d+)`, "wazero": `wazero v(\S+)`} {
		version := regexp.MustCompile(pattern).FindStringSubmatch(mod)
		if version == nil || !regexp.MustCompile(`(?m)^\| `+name+`[^|]*\| `+regexp.QuoteMeta(version[1])).MatchString(page) {
			t.Errorf("the table of versions does not have %s %v", name, version)
		}
	}
}
