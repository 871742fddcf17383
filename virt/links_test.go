package virt_test

import (
	"os/exec"
	"strings"
	"testing"
)

// Packages link what they use, and no engine or adapter beside it.
func TestPackagesLinkWhatTheyUse(t *testing.T) {
	for pkg, without := range map[string][]string{
		"clock":  {"tetratelabs/wazero"},
		"random": {"tetratelabs/wazero"},
		"vfs":    {"tetratelabs/wazero"},
		"virt":   {"spf13/afero", "vfs/hostfs", "vfs/hostnet", "vfs/aferofs", "net/http", "virt/explore", "os/exec"},
	} {
		deps, err := exec.Command("go", "list", "-deps", "github.com/wasivirt/wasivirt/"+pkg).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, each := range strings.Fields(string(deps)) {
			for _, path := range without {
				if strings.HasSuffix(each, path) || strings.Contains(each, path+"/") {
					t.Errorf("%s links %s", pkg, each)
				}
			}
		}
	}
}
