package hostfs

import (
	"runtime"
	"strings"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// checkName refuses what is not one component. It is what confinement rests on, and therefore
// asked at every entry point, whoever has asked before.
func checkName(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return wasip1.EINVAL
	case len(name) > vfs.MaxName:
		return wasip1.ENAMETOOLONG
	}
	for i := range len(name) {
		if c := name[i]; c == '/' || c == 0 {
			return wasip1.EINVAL
		}
	}
	if runtime.GOOS == "windows" && windowsSpecial(name) {
		return wasip1.EINVAL
	}
	return nil
}

// windowsSpecial reports whether Windows takes name for something else than a file of
// that name: a device, a stream of another file, a path, or a name without its last characters.
func windowsSpecial(name string) bool {
	if strings.ContainsAny(name, "\\/:*?\"<>|") {
		return true
	}
	for i := range len(name) {
		if name[i] < ' ' {
			return true
		}
	}
	if last := name[len(name)-1]; last == '.' || last == ' ' {
		return true
	}
	// A device's name counts whatever extension follows, and with spaces before that.
	base, _, _ := strings.Cut(name, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	for _, port := range [...]string{"COM", "LPT"} {
		if n, ok := strings.CutPrefix(base, port); ok {
			switch n {
			case "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "¹", "²", "³":
				return true
			}
		}
	}
	return false
}
