package virt

import (
	"fmt"
	gopath "path"
	"slices"
	"strings"

	"github.com/wasivirt/wasivirt/wasip1"
)

// Rule allows or denies calls. Make one with [Allow] or [Deny].
type Rule struct {
	calls string
	paths []string
	deny  bool
	errno wasip1.Errno

	match selection
}

// Allow lets calls of the functions that match names (see [WithMiddleware]) pass, of all files or, where patterns are given, if
// every file that the call is about matches one of them.
//
// A pattern stands for paths from the guest's root. "*", "?" and "[…]" match within a name as in [path.Match], "**" matches
// any number of names, none included: "/data/**" is /data and all below.
func Allow(calls string, paths ...string) Rule { return Rule{calls: calls, paths: paths} }

// Deny answers ENOTCAPABLE to calls of the functions that match names, of all files or, where patterns are given, if one of the
// files that the call is about matches one of them. See [Allow].
func Deny(calls string, paths ...string) Rule {
	return Rule{calls: calls, paths: paths, deny: true, errno: wasip1.ENOTCAPABLE}
}

// With returns a copy of a Rule that denies with another errno.
func (r Rule) With(errno wasip1.Errno) Rule {
	r.errno = errno
	return r
}

// String shows the Rule as it was made.
func (r Rule) String() string {
	s := "allow " + r.calls
	if r.deny {
		s = "deny " + r.calls
	}
	return strings.Join(append([]string{s}, r.paths...), " ")
}

// WithPolicy has rules decide about each call: the first that fits does, and a call that none fits is allowed. Those of the
// Builder come first, so that a guest's cannot loosen them. Deny("*") at the end denies the rest.
//
// A path counts by its text and by where its symbolic links lead: a Deny fits if one of the two does, an Allow if both do. A
// descriptor counts by the path it was opened under. Policy is about names: another thread of the guest may
// rename directories, or exchange them for links, between the decision and the call. What a guest must never reach is
// not mounted.
func WithPolicy(rules ...Rule) Option {
	return guestOption("WithPolicy", func(c *config) error {
		all := slices.Clone(c.control.policy)
		for _, r := range rules {
			var err error
			if r.match, err = selects(r.calls); err != nil {
				return err
			}
			if err := checkGlobs(r.paths); err != nil {
				return err
			}
			if r.deny && (r.errno == wasip1.ESUCCESS || !r.errno.Valid()) {
				return fmt.Errorf("%v: errno %d refuses nothing", r, r.errno)
			}
			all = append(all, r)
		}
		c.control.policy = all
		return nil
	})
}

// rulesFor are the rules that row i can meet, without the first ones if they allow everything.
func rulesFor(policy []Rule, i int) (rules []Rule) {
	denies := false
	for _, r := range policy {
		if !r.match[i] {
			continue
		}
		rules = append(rules, r)
		denies = denies || r.deny
		if len(r.paths) == 0 {
			break // nothing after it is asked
		}
	}
	if !denies {
		return nil
	}
	return rules
}

// judge is the Handler that rules decide in.
func judge(rules []Rule) Handler {
	return func(c *Call) wasip1.Errno {
		var texts, real []string
		asked := false
		for i := range rules {
			r := &rules[i]
			if len(r.paths) != 0 && !asked {
				texts, real, asked = c.Paths(), c.resolved(), true
			}
			if !r.fits(texts, real) {
				continue
			}
			if r.deny {
				return r.errno
			}
			break
		}
		return c.Next()
	}
}

// fits reports whether the rule decides about a call that is about these files.
func (r *Rule) fits(texts, real []string) bool {
	if len(r.paths) == 0 {
		return true
	}
	matches := func(p string) bool { return matchAny(r.paths, p) }
	if r.deny {
		return slices.ContainsFunc(texts, matches) || slices.ContainsFunc(real, matches)
	}
	other := func(p string) bool { return !matches(p) }
	return len(texts) > 0 && !slices.ContainsFunc(texts, other) && !slices.ContainsFunc(real, other)
}

// resolved are the files that the call is about, with symbolic links followed.
func (c *Call) resolved() (paths []string) {
	found := false
	for _, p := range c.f.Params {
		if p.Kind != KindPath {
			continue
		}
		found = true
		if full, errno := c.joined(p.Name); errno == wasip1.ESUCCESS {
			paths = append(paths, c.t.guest.resolve(full))
		}
	}
	if !found {
		for _, p := range c.Paths() {
			paths = append(paths, c.t.guest.resolve(p))
		}
	}
	return paths
}

// resolve follows the symbolic links in a path, as far as there are any in the tree below "/".
func (g *Guest) resolve(full string) string {
	if !gopath.IsAbs(full) {
		return gopath.Clean(full)
	}
	root := g.ns.Root()
	at, links := "/", 0
	for rest := strings.Split(full, "/"); len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = gopath.Dir(at)
			continue
		}
		next := gopath.Join(at, name)
		target, err := root.Readlink(next)
		if err != nil {
			at = next
			continue
		}
		if links++; links > 40 {
			return gopath.Clean(full) // the call itself will say ELOOP
		}
		if gopath.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return at
}

// checkGlobs says which of patterns is none.
func checkGlobs(patterns []string) error {
	for _, p := range patterns {
		for name := range strings.SplitSeq(p, "/") {
			if _, err := gopath.Match(name, ""); err != nil {
				return fmt.Errorf("pattern %q: %w", p, err)
			}
		}
	}
	return nil
}

// matchAny reports whether path matches one of patterns, which have been checked.
func matchAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matchGlob(p, path) })
}

// matchGlob matches as Allow describes it.
func matchGlob(pattern, path string) bool {
	if pattern == "*" || pattern == "**" {
		return true
	}
	return matchNames(strings.Split(strings.TrimPrefix(pattern, "/"), "/"), strings.Split(strings.TrimPrefix(path, "/"), "/"))
}

// matchNames matches names one by one. Like the shells', it goes back to the last "**" only, so that it takes no more
// than the product of the two lengths.
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
