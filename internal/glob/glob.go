// Package glob matches paths from a guest's root with patterns. "*", "?" and "[...]" match within a
// name as in [path.Match], "**" matches any number of names, none included. A slash at the
// beginning of pattern or path is not compared.
package glob

import (
	"fmt"
	gopath "path"
	"slices"
	"strings"
)

// Check says which of patterns is none.
func Check(patterns []string) error {
	for _, p := range patterns {
		for name := range strings.SplitSeq(p, "/") {
			if _, err := gopath.Match(name, ""); err != nil {
				return fmt.Errorf("pattern %q: %w", p, err)
			}
		}
	}
	return nil
}

// MatchAny reports whether path matches one of patterns, which have been checked.
func MatchAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return Match(p, path) })
}

// Match reports whether a path matches a pattern.
func Match(pattern, path string) bool {
	if pattern == "*" || pattern == "**" {
		return true
	}
	return matchNames(strings.Split(strings.TrimPrefix(pattern, "/"), "/"), strings.Split(strings.TrimPrefix(path, "/"), "/"))
}

// matchNames matches names one by one. Like the shells', it goes back to the last "**" only, so
// that it takes no more than the product of the two lengths.
func matchNames(pattern, names []string) bool {
	p, n := 0, 0
	star, from := -1, 0
	for n < len(names) {
		if p < len(pattern) && pattern[p] == "**" {
			star, from = p, n
			p++
			continue
		}
		if p < len(pattern) {
			if ok, _ := gopath.Match(pattern[p], names[n]); ok {
				p++
				n++
				continue
			}
		}
		if star < 0 {
			return false
		}
		from++
		p, n = star+1, from
	}
	for p < len(pattern) && pattern[p] == "**" {
		p++
	}
	return p == len(pattern)
}
