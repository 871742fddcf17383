package process

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Env says what environment a guest gets. The zero Env is an empty one. Methods return
// a changed copy.
//
// The order is the same in every run: first the host's variables that the policy
// passes, sorted by name, then those of a function, then those set one by one, both in
// the order given. Of variables of one name the last in this order wins and the others
// are left out.
type Env struct {
	pass Pass
	host func() []string
	ask  func() ([]string, error)
	set  []string
}

// Pass decides, by its name, whether a variable of the host's environment is passed to the guest. A
// nil Pass passes none.
type Pass func(name string) bool

// PassNone passes no variable.
func PassNone(string) bool { return false }

// PassAll passes every variable, the host's secrets included.
func PassAll(string) bool { return true }

// PassAllow passes the variables with these names and no others. A name that ends in * stands for
// all names that begin so.
func PassAllow(names ...string) Pass {
	names = slices.Clone(names)
	return func(name string) bool { return slices.ContainsFunc(names, matches(name)) }
}

// PassDeny passes all variables except those with these names. A name that ends in * stands for all
// names that begin so.
func PassDeny(names ...string) Pass {
	names = slices.Clone(names)
	return func(name string) bool { return !slices.ContainsFunc(names, matches(name)) }
}

func matches(name string) func(pattern string) bool {
	return func(pattern string) bool {
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
			return strings.HasPrefix(name, prefix)
		}
		return name == pattern
	}
}

// FixedEnv is the environment of the given "NAME=value" strings.
func FixedEnv(vars ...string) Env { return Env{set: slices.Clone(vars)} }

// With sets a variable.
func (e Env) With(name, value string) Env {
	if strings.Contains(name, "=") {
		// Would be a variable of another name. Snapshot reports it.
		name = "=" + name
	}
	return e.WithVars(name + "=" + value)
}

// WithVars sets variables by "NAME=value" strings.
func (e Env) WithVars(vars ...string) Env {
	e.set = append(slices.Clip(e.set), vars...)
	return e
}

// WithHost passes the variables of the host's environment for which pass returns true, with their
// values at the start of the guest.
func (e Env) WithHost(pass Pass) Env {
	e.pass = pass
	return e
}

// WithHostEnviron makes environ the host's environment, in place of os.Environ.
func (e Env) WithHostEnviron(environ func() []string) Env {
	e.host = environ
	return e
}

// WithFunc adds the "NAME=value" strings that ask returns, once for each guest as it
// starts.
func (e Env) WithFunc(ask func() ([]string, error)) Env {
	e.ask = ask
	return e
}

// Check reports what Snapshot would find wrong with the variables set one by one,
// without asking a function or the host.
func (e Env) Check() error {
	_, err := Env{set: e.set}.Snapshot()
	return err
}

// Snapshot returns the environment of a guest that starts now. It fails if a variable has no name,
// no "=", a "=" in its name or a NUL, if all together have more than 4 GiB, or if the function of
// WithFunc fails. Variables of the host with such a fault, as Windows has some, are left out.
func (e Env) Snapshot() (*Strings, error) {
	list := e.fromHost()
	if e.ask != nil {
		asked, err := e.ask()
		if err != nil {
			return nil, fmt.Errorf("environment: %w", err)
		}
		list = append(list, asked...)
	}
	own := len(list) // the first string that was set one by one
	list = append(list, e.set...)

	last := make(map[string]int, len(list))
	for i, s := range list {
		name, err := varName(s)
		if err != nil {
			where := "environment"
			if i < own {
				where = "environment from a function"
			}
			return nil, fmt.Errorf("%s: %q: %w", where, s, err)
		}
		last[name] = i
	}
	kept := list[:0:0]
	for i, s := range list {
		if name, _ := varName(s); last[name] == i {
			kept = append(kept, s)
		}
	}
	return encode("environment variable", kept)
}

// fromHost returns what the policy passes, sorted by name.
func (e Env) fromHost() []string {
	if e.pass == nil {
		return nil
	}
	environ := e.host
	if environ == nil {
		environ = os.Environ
	}
	var list []string
	for _, s := range environ() {
		if name, err := varName(s); err == nil && e.pass(name) {
			list = append(list, s)
		}
	}
	slices.SortStableFunc(list, func(a, b string) int {
		na, _ := varName(a)
		nb, _ := varName(b)
		return strings.Compare(na, nb)
	})
	return list
}

var (
	errNoEqual  = errors.New(`a variable is not of the form NAME=value`)
	errNoName   = errors.New(`a variable needs a name, without "=" in it`)
	errNulInVar = errors.New("a variable contains a NUL byte")
)

// varName returns the name in a "NAME=value" string.
func varName(s string) (string, error) {
	name, _, ok := strings.Cut(s, "=")
	switch {
	case !ok:
		return "", errNoEqual
	case name == "":
		return "", errNoName
	case strings.IndexByte(s, 0) >= 0:
		return "", errNulInVar
	}
	return name, nil
}
