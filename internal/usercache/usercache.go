// Package usercache tells where the command and the tests of guests keep compiled code.
package usercache

import (
	"os"
	"path/filepath"
)

// Variable names the environment variable that says where compiled modules are kept: a directory,
// or "off".
const Variable = "WASIVIRT_CACHE"

// Dir is where compiled modules are kept, "" for nowhere.
func Dir() string {
	switch dir := os.Getenv(Variable); dir {
	case "off":
		return ""
	case "":
		user, err := os.UserCacheDir()
		if err != nil {
			return ""
		}
		return filepath.Join(user, "wasivirt")
	default:
		return dir
	}
}

// Writable returns Dir if it can be written to, which it is made for if it is missing, and else "".
func Writable() string {
	dir := Dir()
	if dir == "" || os.MkdirAll(dir, 0o700) != nil {
		return ""
	}
	probe, err := os.MkdirTemp(dir, "probe")
	if err != nil || os.Remove(probe) != nil {
		return ""
	}
	return dir
}
