package virt

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wasivirt/wasivirt/internal/glob"
	"github.com/wasivirt/wasivirt/virt/abi"
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

// Allow permits calls of the functions that calls selects (see [WithMiddleware]). If paths are
// given, it applies only to a call whose files all match one of them.
//
// A pattern stands for paths from the guest's root. "*", "?" and "[…]" match within a name as in
// [path.Match], "**" matches any number of names, none included: "/data/**" is /data and all below.
// A slash at the beginning is not compared: it is also the preopened directory named data and all
// below.
func Allow(calls string, paths ...string) Rule { return Rule{calls: calls, paths: paths} }

// Deny returns ENOTCAPABLE for calls of the functions that calls selects. If paths are given, it
// applies only to a call with at least one file that matches one of them. See [Allow].
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

// WithPolicy lets rules decide about each call. The first rule that matches decides. A call that no
// rule matches is allowed; Deny("*") at the end denies the rest. A denied call returns ENOTCAPABLE,
// or the errno of [Rule.With]. The Builder's rules come before a guest's, so that a guest's options
// cannot loosen them.
//
// A path has two forms: its text, and the path to which its symbolic links lead. A Deny matches if
// one of the two matches, an Allow if both do. Links are resolved twice: before the call, so that
// no answer reveals what is there, and during the call's own walk, which holds its directories, so
// that nobody can exchange a link in between. A descriptor counts by the path with which it was
// opened and by the path to which that led. A path that middleware replaced is not checked again.
//
// A policy is about names, not about files. A directory that is renamed keeps the name by which it
// was opened, and a file has all its names. To shut off a tree, name all functions, as in Deny("*",
// "/secret/**"), because renaming or linking a file needs no open, and deny renaming of the
// directories above. Do not mount what a guest must never reach.
func WithPolicy(rules ...Rule) GuestOption {
	return guestOption("WithPolicy", func(c *config) error {
		all := slices.Clone(c.control.policy)
		for _, r := range rules {
			var err error
			if r.match, err = selects(r.calls); err != nil {
				return err
			}
			if err := glob.Check(r.paths); err != nil {
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
func rulesFor(policy []Rule, i int, f *function) (rules []Rule) {
	denies := false
	for _, r := range policy {
		if !r.match.has(i, f) {
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
	byPath := slices.ContainsFunc(rules, func(r Rule) bool { return len(r.paths) != 0 })
	return func(c *Call) wasip1.Errno {
		if !byPath {
			if errno := decide(rules, nil, nil); errno != wasip1.ESUCCESS {
				return errno
			}
			return c.Next()
		}
		s := c.subject()
		texts := s.texts(c.t)
		if errno := decide(rules, texts, s.resolved(c.t)); errno != wasip1.ESUCCESS {
			return errno
		}
		outer := c.t.judged
		c.t.judged = &judgement{call: c, rules: rules, texts: texts, given: c.targets()}
		defer func() { c.t.judged = outer }()
		return c.Next()
	}
}

// decide is what the first rule that fits answers.
func decide(rules []Rule, texts, places []string) wasip1.Errno {
	for i := range rules {
		r := &rules[i]
		switch {
		case !r.fits(texts, places):
		case r.deny:
			return r.errno
		default:
			return wasip1.ESUCCESS
		}
	}
	return wasip1.ESUCCESS
}

// judgement is a call that policy let pass, until it is known where its paths really lead.
type judgement struct {
	call  *Call
	rules []Rule
	texts []string
	given targets
}

// targets are what says which files a call is about.
type targets struct {
	fds   [2]uint32
	paths [2]string
}

func (c *Call) targets() (all targets) {
	fds := 0
	for at, p := range c.f.All() {
		if p.Kind == abi.KindFd && fds < len(all.fds) {
			all.fds[fds] = uint32(c.p[at])
			fds++
		}
	}
	for i := range all.paths {
		all.paths[i] = c.given.Paths[i].Path
	}
	return all
}

// guard answers the walker, which knows where a call's paths lead.
func (t *thread) guard(places ...string) error {
	j := t.judged
	if j == nil || j.call.targets() != j.given {
		return nil
	}
	if errno := decide(j.rules, j.texts, places); errno != wasip1.ESUCCESS {
		return errno
	}
	return nil
}

// guarded reports whether policy is about paths.
func (c *control) guarded() bool {
	return slices.ContainsFunc(c.policy, func(r Rule) bool { return len(r.paths) != 0 })
}

// fits reports whether the rule decides about a call that is about these files.
func (r *Rule) fits(texts, real []string) bool {
	if len(r.paths) == 0 {
		return true
	}
	matches := func(p string) bool { return glob.MatchAny(r.paths, p) }
	if r.deny {
		return slices.ContainsFunc(texts, matches) || slices.ContainsFunc(real, matches)
	}
	other := func(p string) bool { return !matches(p) }
	return len(texts) > 0 && !slices.ContainsFunc(texts, other) && !slices.ContainsFunc(real, other)
}
