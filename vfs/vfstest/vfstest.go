// Package vfstest is the behaviour that every file system must show, as named cases that any
// implementer of [vfs.FS] can run in one line:
//
//	func TestFS(t *testing.T) {
//		if err := vfstest.Test(func() (vfs.FS, error) { return myfs.New(), nil }); err != nil {
//			t.Error(err)
//		}
//	}
//
// It does not need the testing package: [Test] returns one error that names each case that failed,
// and [Cases] lists them for who wants a subtest each.
//
// The cases speak to nodes as package vfs does, below its walker: one name in one directory. They
// say what preview1 and POSIX demand of files, directories and links, what package vfs adds (names
// are lent, cookies are stable, errors have one errno), and what must stay true when many
// goroutines do this at once.
//
// A file system that cannot do something declares it with [Without]; then the case demands the
// errno that says so in place of the behaviour. One that cannot be changed declares [WithReadOnly]
// and is made with the content of [Tree].
package vfstest

import (
	"errors"
	"fmt"
	"io"

	"github.com/wasivirt/wasivirt/vfs"
)

// Capability is something that not every file system has. Capabilities are combined with |.
type Capability uint

const (
	// HardLinks: a file can have several names. Without: Link answers ENOTSUP.
	HardLinks Capability = 1 << iota
	// Symlinks: there are symbolic links. Without: Symlink answers ENOTSUP.
	Symlinks
	// ByteNames: names are any bytes. Without: those that are not UTF-8 are EILSEQ or EINVAL.
	ByteNames
	// Sparse: holes cost nothing, so that a file may be much larger than memory. Without: a write
	// far out is EFBIG or ENOSPC.
	Sparse
	// Modes: permission bits are kept. Without: they may be anything.
	Modes
	// DirNlink: a directory's link count is 2 and one for each directory in it. Without: it may be
	// anything above 0.
	DirNlink
	// OpenUnlink: what is open can be unlinked, replaced and renamed, and a directory renamed while
	// it is in use. Without, as on some systems: those cases are left out.
	OpenUnlink
)

// Option changes how the cases are run.
type Option func(*config)

type config struct {
	missing  Capability
	readOnly bool
	skip     map[string]bool
}

// Without declares capabilities missing.
func Without(c Capability) Option {
	return func(cfg *config) { cfg.missing |= c }
}

// WithReadOnly declares that nothing can be changed: everything that would answers EROFS. The file
// system holds what [Tree] says.
func WithReadOnly() Option {
	return func(cfg *config) { cfg.readOnly = true }
}

// WithSkip leaves cases out by name. It is for a fault that is known and written down elsewhere.
func WithSkip(names ...string) Option {
	return func(cfg *config) {
		if cfg.skip == nil {
			cfg.skip = make(map[string]bool)
		}
		for _, n := range names {
			cfg.skip[n] = true
		}
	}
}

func newConfig(opts []Option) config {
	var cfg config
	for _, opt := range opts {
		opt(&cfg)
	}
	return cfg
}

// Case is one behaviour.
type Case struct {
	// Name is of the form "rename/file-onto-dir".
	Name string
	// needs are the capabilities without which there is nothing to run.
	needs Capability
	// onReadOnly says that the case is for file systems of the kind that ReadOnly declares.
	onReadOnly bool
	run        func(*run)
}

// Applies reports whether the case says anything of a file system with these options.
func (c Case) Applies(opts ...Option) bool { return c.applies(newConfig(opts)) }

func (c Case) applies(cfg config) bool {
	return c.onReadOnly == cfg.readOnly && c.needs&cfg.missing == 0 && !cfg.skip[c.Name]
}

// Run runs the case on fsys, which is fresh: empty, or what [Tree] says. It attaches a clock to
// a file system that takes one. It closes fsys if that is an [io.Closer].
func (c Case) Run(fsys vfs.FS, opts ...Option) error {
	cfg := newConfig(opts)
	if !c.applies(cfg) {
		return nil
	}
	err := runCase(c, fsys, cfg)
	if closer, ok := fsys.(io.Closer); ok {
		err = errors.Join(err, closer.Close())
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	return nil
}

// Test runs all cases that apply, each on a file system of its own from newFS, and returns what
// failed.
func Test(newFS func() (vfs.FS, error), opts ...Option) error {
	var errs []error
	for _, c := range Cases() {
		if !c.Applies(opts...) {
			continue
		}
		fsys, err := newFS()
		if err != nil {
			return errors.Join(append(errs, fmt.Errorf("%s: making the file system: %w", c.Name, err))...)
		}
		if err := c.Run(fsys, opts...); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Cases returns all cases, in the order in which they are best read.
func Cases() []Case {
	var all []Case
	for _, group := range [][]Case{
		nodeCases(), nameCases(), linkCases(), renameCases(), renameMatrix(), readdirCases(),
		contentCases(), attrCases(), concurrentCases(), readOnlyCases(),
	} {
		all = append(all, group...)
	}
	return all
}
