package usercache

import (
	"os"
	"path"
	"path/filepath"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/tetratelabs/wazero"
)

// ForTests returns the directory where tests keep compiled modules, which is Writable in a program
// whose build information names its modules. The binary of a test has no such information, by which
// wazero would tell the code of its versions apart: there, each version has a directory of its own
// below Writable, and ForTests returns "" if the version is not known.
func ForTests() string {
	dir := Writable()
	if info, ok := debug.ReadBuildInfo(); dir == "" || ok && len(info.Deps) > 0 {
		return dir
	}
	version := versionOf(sourceOf(wazero.NewRuntime))
	if version == "" {
		return ""
	}
	dir = filepath.Join(dir, "tests", version)
	if os.MkdirAll(dir, 0o700) != nil {
		return ""
	}
	return dir
}

// sourceOf returns the file in which a function is written.
func sourceOf(function any) string {
	pc := reflect.ValueOf(function).Pointer()
	file, _ := runtime.FuncForPC(pc).FileLine(pc)
	return filepath.ToSlash(file)
}

// versionOf returns the last part of the directory of a module's source, such as "wazero@v1.12.0",
// or "" if it names no version, as that of a replaced or vendored module.
func versionOf(file string) string {
	if base := path.Base(path.Dir(file)); strings.Contains(base, "@v") {
		return base
	}
	return ""
}
