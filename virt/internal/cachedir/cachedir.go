// Package cachedir bounds the directories where wazero keeps compiled code.
package cachedir

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// DefaultBytes is the bound of a cache for which 0 was given.
const DefaultBytes = 1 << 30

// Size returns how many bytes a directory holds, and in how many entries.
func Size(dir string) (bytes int64, entries int, err error) {
	all, total, err := list(dir)
	return total, len(all), err
}

// entry is one file of a cache.
type entry struct {
	path string
	size int64
	at   time.Time
}

// list lists what wazero keeps: files in a directory for its version and the machine.
func list(dir string) (all []entry, total int64, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "wazero-*", "*"))
	for _, path := range paths {
		info, e := os.Stat(path)
		if errors.Is(e, fs.ErrNotExist) {
			continue // another process has removed it
		}
		if e != nil {
			err = errors.Join(err, e)
			continue
		}
		if info.Mode().IsRegular() {
			all, total = append(all, entry{path, info.Size(), info.ModTime()}), total+info.Size()
		}
	}
	return all, total, err
}

// Trim removes the oldest entries until at most so many bytes are left, all of them where that is
// 0.
func Trim(dir string, most int64) error {
	all, total, err := list(dir)
	slices.SortFunc(all, func(a, b entry) int { return a.at.Compare(b.at) })
	for _, e := range all {
		if total <= most && most > 0 {
			break
		}
		if e := os.Remove(e.path); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = cmp.Or(err, e)
		}
		total -= e.size
	}
	return err
}
