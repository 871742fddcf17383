package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/wasivirt/wasivirt/internal/safetext"
	"github.com/wasivirt/wasivirt/virt/inspect"
)

// inspectModule is the command inspect. It says what a module needs before it runs.
func inspectModule(ctx context.Context, args []string, stdin io.Reader, stdout, _ io.Writer) (int, error) {
	flags := newFlags("inspect")
	if err := parse(flags, args, stdout); err != nil {
		return exitHost, err
	}
	if args = flags.Args(); len(args) != 1 {
		return exitHost, fmt.Errorf("want: %s", forms["inspect"].form)
	}
	wasm, err := readProgram(args[0], &stdin)
	if err != nil {
		return exitHost, err
	}
	audit, err := inspect.Module(wasm)
	if err != nil {
		return exitHost, fmt.Errorf("%s: %w", args[0], err)
	}
	out := &printer{w: stdout}
	out.line("%s: a %s, %d bytes", args[0], audit.Kind(), len(wasm))
	bySubsystem := map[string][]string{}
	for _, im := range audit.Imports {
		bySubsystem[string(im.Subsystem)] = append(bySubsystem[string(im.Subsystem)], safetext.Name(im.Name))
	}
	for _, s := range slices.SortedFunc(keys(bySubsystem), cmp.Compare[string]) {
		if s != "" {
			out.line("imports, answered by %-8s %s", s+":", strings.Join(bySubsystem[s], " "))
		}
	}
	missing := map[string][]string{}
	for _, im := range audit.Missing() {
		missing[im.Module] = append(missing[im.Module], safetext.Name(im.Name)+im.Type())
	}
	for _, module := range slices.SortedFunc(keys(missing), cmp.Compare[string]) {
		out.line("imports, NOT provided, from module %s: %s", safetext.Name(module), strings.Join(missing[module], ", "))
	}
	for _, m := range audit.Memories {
		out.line("memory:  %s", m)
	}
	out.line("threads: %s", yesNo(audit.Threads, "the module starts threads (run with -threads N)", "none"))
	if audit.Shared() {
		out.line("shared memory: no libraries, no plugs (-plug)")
	}
	for _, why := range audit.SnapshotRefusals {
		out.line("snapshot: refused, because %s", why)
	}
	if len(audit.SnapshotRefusals) == 0 {
		out.line("snapshot: can be taken")
	}
	exports := make([]string, len(audit.Exports))
	for i, name := range audit.Exports {
		exports[i] = safetext.Name(name)
	}
	out.line("exports: %s", strings.Join(exports, " "))
	return 0, out.err
}

func keys(m map[string][]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func yesNo(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}

// printer keeps the first error of writing.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}
