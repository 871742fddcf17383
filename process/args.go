package process

import (
	"fmt"
	"slices"
)

// Args say what arguments a guest gets, its own name first. The zero Args are none.
type Args struct {
	list []string
	ask  func() ([]string, error)
}

// FixedArgs are the given arguments.
func FixedArgs(args ...string) Args { return Args{list: slices.Clone(args)} }

// AskArgs are the arguments that ask returns, once for each guest as it starts.
func AskArgs(ask func() ([]string, error)) Args { return Args{ask: ask} }

// Check reports what Snapshot would find wrong with fixed arguments, without asking a
// function.
func (a Args) Check() error {
	_, err := encode("argument", a.list)
	return err
}

// Snapshot returns the arguments of a guest that starts now. It fails if one has a NUL, if they
// have more than 4 GiB together, or if the function of AskArgs fails.
func (a Args) Snapshot() (*Strings, error) {
	list := a.list
	if a.ask != nil {
		var err error
		if list, err = a.ask(); err != nil {
			return nil, fmt.Errorf("arguments: %w", err)
		}
	}
	return encode("argument", list)
}
