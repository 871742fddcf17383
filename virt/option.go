package virt

import (
	"context"
	"errors"
	"fmt"
	"io"
	gopath "path"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/process"
	"github.com/wasivirt/wasivirt/random"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/sockets"
	"github.com/wasivirt/wasivirt/virt/inspect"
	"github.com/wasivirt/wasivirt/virt/internal/link"
	"github.com/wasivirt/wasivirt/virt/trace"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Option is a [HostOption] or a [GuestOption]. [NewBuilder] and [Run] accept both. A nil Option is
// an error.
type Option interface {
	setting() setting
}

// HostOption is a decision about a Host and all its guests. Only functions of this package make
// valid ones.
type HostOption struct{ s setting }

// GuestOption is a decision about one guest if it is given to [Host.Run], [Host.Instantiate] or
// [Snapshot.Start], and the default of all guests of a Host if it is given to [NewBuilder]. A
// guest's own options win over the Host's. Only functions of this package make valid ones.
type GuestOption struct{ s setting }

func (o HostOption) setting() setting  { return o.s }
func (o GuestOption) setting() setting { return o.s }

// setting is what an option says.
type setting struct {
	name string
	set  func(*config) error
}

// config is all decisions about a Host, or, as a changed copy, about one guest.
type config struct {
	dropIn        bool // wazero instantiates the modules
	runtime       wazero.Runtime
	runtimeConfig wazero.RuntimeConfig
	period        uint32 // what code weighs between two checks; 0 is the rewriter's own
	interpreted   bool   // wazero's interpreter was asked for
	anyEngine     bool   // the embedder's configuration chooses the engine
	moduleLimits  *inspect.Limits
	cache         *compilationCache
	elsewhere     link.Compiler // compiles in another process; nil for none
	modules       []func(wazero.Runtime) (api.Module, error)
	clock         clock.Clock
	scheduler     sched.Scheduler
	seed          *uint64
	serialize     bool
	noPreempt     bool
	deterministic *Determinism
	recording     *recordTo
	hash          bool
	replay        *replayer
	hosted        hostFunctions
	libraries     []libraryConfig
	plugs         []plugConfig
	world         bool // it is that of a library
	played        []playedLibrary
	playedFrom    *Snapshot // what the recorded guest began as
	recordedFrom  [32]byte  // the hash of what a guest that is recorded begins as
	access        bool
	nans          bool                // Determinism.CanonicalNaNs
	accesses      func(*trace.Access) // nil for nobody
	resume        bool

	argv0   string
	args    []string
	argsFn  func() ([]string, error)
	env     process.Env
	stdin   io.Reader
	writers [2]io.Writer  // of descriptors 1 and 2
	streams [3]vfs.Stream // win over the readers and writers above
	mounts  []mount
	links   bool
	given   []preopened
	random  random.Source
	hooks   process.Hooks

	limits  Limits // of one guest
	shared  Limits // of all guests of the Host together
	guests  int
	control control
	network sockets.Network // nil for none

	forGuest bool // the options that are being applied are one guest's own
}

// mount is one WithMount.
type mount struct {
	path string
	fsys vfs.FS // nil where it is made for each guest
	make func(*Guest) (vfs.FS, error)
	opts []vfs.MountOption
	own  bool // given for one guest

	forked bool // made of a snapshot, with the budgets of disk before it
}

// apply changes c as opts say, and collects their errors.
func apply[O Option](c *config, opts []O) (errs []error) {
	for _, o := range opts {
		var s setting
		if Option(o) != nil {
			s = o.setting()
		}
		switch {
		case s.set == nil:
			errs = append(errs, errors.New("an option is nil or empty: make options with the functions of virt"))
		case c.dropIn && checkDropIn(s.name) != nil:
			errs = append(errs, checkDropIn(s.name))
		default:
			if err := s.set(c); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
			}
		}
	}
	return errs
}

func hostOption(name string, set func(*config) error) HostOption {
	return HostOption{setting{name, set}}
}

func guestOption(name string, set func(*config) error) GuestOption {
	return GuestOption{setting{name, set}}
}

// Options joins options of a Host, and defaults of its guests, into one.
func Options(opts ...Option) HostOption {
	return hostOption("Options", func(c *config) error { return errors.Join(apply(c, opts)...) })
}

// GuestOptions joins options of a guest into one.
func GuestOptions(opts ...GuestOption) GuestOption {
	return guestOption("GuestOptions", func(c *config) error { return errors.Join(apply(c, opts)...) })
}

// WithRuntime makes the Host use the embedder's runtime and the host modules in it. Default: a
// runtime of the Host's own. The embedder closes the runtime after the Host. The runtime decides
// about engine and WebAssembly features; guests with threads need
// [experimental.CoreFeaturesThreads].
func WithRuntime(r wazero.Runtime) HostOption {
	return hostOption("WithRuntime", func(c *config) error {
		if r == nil {
			return fmt.Errorf("the runtime is nil")
		}
		c.runtime = r
		return nil
	})
}

// WithRuntimeConfig configures the Host's runtime: engine, cache, debug information. The Host adds
// the features that it needs.
func WithRuntimeConfig(rc wazero.RuntimeConfig) HostOption {
	return hostOption("WithRuntimeConfig", func(c *config) error {
		if rc == nil {
			return fmt.Errorf("the configuration is nil")
		}
		c.runtimeConfig, c.period, c.interpreted, c.anyEngine = rc, 0, false, true
		return nil
	})
}

// interpretedPeriod is what code weighs that runs between two checks in wazero's interpreter, which
// takes fifty times as long for a simple instruction as its compiler, and no longer for one that
// reads memory.
const interpretedPeriod = 1 << 14

// WithInterpreter makes the Host's runtime interpret WebAssembly instead of compiling it.
func WithInterpreter() HostOption {
	return hostOption("WithInterpreter", func(c *config) error {
		c.runtimeConfig, c.period, c.interpreted, c.anyEngine = wazero.NewRuntimeConfigInterpreter(), interpretedPeriod, true, false
		return nil
	})
}

// WithModules adds host modules of wazero's that guests may import. The Host calls instantiate once
// with its runtime, when it is built, and closes the module that instantiate returns, which may be
// nil. Calls of these modules are neither recorded nor seen by other layers; see [WithFunctions].
func WithModules(instantiate func(wazero.Runtime) (api.Module, error)) HostOption {
	return hostOption("WithModules", func(c *config) error {
		if instantiate == nil {
			return fmt.Errorf("the function is nil")
		}
		c.modules = append(c.modules, instantiate)
		return nil
	})
}

// WithClock sets the clock of the Host and all its guests. Default: [clock.Real].
func WithClock(k clock.Clock) HostOption {
	return hostOption("WithClock", func(c *config) error {
		if k == nil {
			return fmt.Errorf("the clock is nil")
		}
		c.clock = k
		return nil
	})
}

// WithScheduler sets the scheduler of the guests' threads. Default: [sched.NewParallel] without
// limits.
func WithScheduler(s sched.Scheduler) HostOption {
	return hostOption("WithScheduler", func(c *config) error {
		if s == nil {
			return fmt.Errorf("the scheduler is nil")
		}
		c.scheduler = s
		return nil
	})
}

// WithSeed derives all randomness of the Host from seed. Each guest has a stream of its own, which
// depends on the seed and on the number of guests that the Host made before.
func WithSeed(seed uint64) HostOption {
	return hostOption("WithSeed", func(c *config) error {
		c.seed = &seed
		return nil
	})
}

// WithSerializedCalls makes a call of an export wait while another call of the same guest runs.
// Default: the second call fails with [ErrBusy].
func WithSerializedCalls() GuestOption {
	return guestOption("WithSerializedCalls", func(c *config) error { c.serialize = true; return nil })
}

// WithoutPreemption runs the code of modules as it is, which is a few percent faster. A loop in a
// guest can then be neither stopped nor limited, and it delays Go's garbage collector.
func WithoutPreemption() HostOption {
	return hostOption("WithoutPreemption", func(c *config) error { c.noPreempt = true; return nil })
}

// WithCallsAfterTrap lets exports of a guest be called again after a trap. Default: a trap ends the
// guest, because WebAssembly does not say in what state a trap leaves its memory.
func WithCallsAfterTrap() GuestOption {
	return guestOption("WithCallsAfterTrap", func(c *config) error { c.resume = true; return nil })
}

// WithName sets the guest's argument 0, its name. Default: the name in the module, else "guest".
func WithName(argv0 string) GuestOption {
	return guestOption("WithName", func(c *config) error { c.argv0 = argv0; return nil })
}

// WithArgs sets the guest's arguments after its name. None may contain a NUL byte.
func WithArgs(args ...string) GuestOption {
	return guestOption("WithArgs", func(c *config) error {
		if i := slices.IndexFunc(args, func(a string) bool { return strings.ContainsRune(a, 0) }); i >= 0 {
			return fmt.Errorf("argument %d contains a NUL byte", i+1)
		}
		c.args, c.argsFn = append([]string(nil), args...), nil
		return nil
	})
}

// WithArgsFunc calls f for the arguments after the name, once for each guest, when the guest is
// made.
func WithArgsFunc(f func() ([]string, error)) GuestOption {
	return guestOption("WithArgsFunc", func(c *config) error { c.argsFn = f; return nil })
}

// WithEnv sets an environment variable. It wins over a variable of the same name from [WithEnvFunc]
// and [WithHostEnv].
func WithEnv(name, value string) GuestOption {
	return guestOption("WithEnv", func(c *config) error {
		switch {
		case name == "" || strings.ContainsAny(name, "=\x00"):
			return fmt.Errorf("the name %q: want a name without = and NUL", name)
		case strings.ContainsRune(value, 0):
			return fmt.Errorf("the value of %s contains a NUL byte", name)
		}
		c.env = c.env.With(name, value)
		return nil
	})
}

// WithEnvFunc calls f for environment variables, each "NAME=value", once for each guest, when the
// guest is made.
func WithEnvFunc(f func() ([]string, error)) GuestOption {
	return guestOption("WithEnvFunc", func(c *config) error { c.env = c.env.WithFunc(f); return nil })
}

// WithHostEnv gives the guest the variables of the process's environment that pass allows:
// [process.PassAll], [process.PassAllow], [process.PassDeny]. Default: none.
func WithHostEnv(pass process.Pass) GuestOption {
	return guestOption("WithHostEnv", func(c *config) error { c.env = c.env.WithHost(pass); return nil })
}

// WithStdin sets the reader of descriptor 0. Default: it is at EOF. A Read that waits does not keep
// the guest from ending, but nothing can interrupt it: give the body of a request a deadline
// (http.Server.ReadTimeout). See [stdio.Reader].
func WithStdin(r io.Reader) GuestOption {
	return guestOption("WithStdin", func(c *config) error {
		if r == nil {
			return fmt.Errorf("the reader is nil")
		}
		c.stdin, c.streams[0] = r, nil
		return nil
	})
}

// WithStdout sets the writer of descriptor 1. Default: output is discarded. The writer is called on
// a goroutine of the guest, and not any more after [Host.Run], [Guest.Run] or [Guest.Close] has
// returned. A writer that is given for both descriptors gets all output in the order in which the
// guest writes it, one Write at a time. A writer that several guests share is called from several
// goroutines at once. See [stdio.Writer].
func WithStdout(w io.Writer) GuestOption { return withOutput("WithStdout", 1, w) }

// WithStderr sets the writer of descriptor 2. Default: the beginning and the end of the output are
// in Result.Stderr. The rules of [WithStdout] apply.
func WithStderr(w io.Writer) GuestOption { return withOutput("WithStderr", 2, w) }

func withOutput(name string, fd int, w io.Writer) GuestOption {
	return guestOption(name, func(c *config) error {
		if w == nil {
			return fmt.Errorf("the writer is nil")
		}
		c.writers[fd-1], c.streams[fd] = w, nil
		return nil
	})
}

// WithStream sets the stream of descriptor fd, which is 0, 1 or 2: a pipe, a terminal, a closed
// stream. The Host closes s when the guest's last descriptor for it is closed. [stdio.Shared] keeps
// a stream open.
func WithStream(fd int, s vfs.Stream) GuestOption {
	return guestOption("WithStream", func(c *config) error {
		if fd < 0 || fd > 2 {
			return fmt.Errorf("descriptor %d: want 0, 1 or 2; WithPreopened gives others", fd)
		}
		c.streams[fd] = s
		return nil
	})
}

// WithMount mounts a file system at path. All absolute paths form one tree, which the guest sees
// through one preopened directory, "/". A relative path is a preopened directory of its own with
// that name. The deepest mount wins. All guests of a Host share a file system that is given to its
// Builder.
func WithMount(path string, fs vfs.FS, opts ...vfs.MountOption) GuestOption {
	return withMount("WithMount", path, fs, func(*Guest) (vfs.FS, error) { return fs, nil }, fs == nil, opts)
}

// WithoutFiles removes the default file system and all mounts that earlier options gave. Without
// later mounts the guest has no preopened directory.
func WithoutFiles() GuestOption {
	return guestOption("WithoutFiles", func(c *config) error { c.mounts = []mount{}; return nil })
}

// WithMountFunc mounts a file system that make makes for each guest. ctx ends with the guest.
// Operations that wait for a network or a slow disk should also wait for ctx, and return ECANCELED
// or ctx's cause when it has ended.
func WithMountFunc(path string, make func(ctx context.Context) (vfs.FS, error), opts ...vfs.MountOption) GuestOption {
	return withMount("WithMountFunc", path, nil, func(g *Guest) (vfs.FS, error) { return make(g.group.Context()) }, make == nil, opts)
}

// WithDevices mounts device files at path, usually "/dev": null, zero, full, random and urandom
// (the guest's own randomness), stdin, stdout and stderr (the guest's standard streams). See
// [devfs].
func WithDevices(path string) GuestOption {
	return withMount("WithDevices", path, nil, func(g *Guest) (vfs.FS, error) { return g.devices(), nil }, false, nil)
}

func withMount(name, path string, fsys vfs.FS, make func(*Guest) (vfs.FS, error), missing bool, opts []vfs.MountOption) GuestOption {
	return guestOption(name, func(c *config) error {
		if missing {
			return fmt.Errorf("%q: the file system is nil", path)
		}
		m := mount{path: path, fsys: fsys, make: make, opts: opts, own: c.forGuest}
		at := slices.IndexFunc(c.mounts, func(o mount) bool { return gopath.Clean(o.path) == gopath.Clean(path) })
		switch {
		case at < 0:
			c.mounts = append(c.mounts[:len(c.mounts):len(c.mounts)], m)
		case c.mounts[at].own == c.forGuest:
			return fmt.Errorf("mount %q: something is already mounted there: mount it at another path, or give it once", path)
		default: // a guest's own mount replaces the Builder's
			c.mounts = slices.Clone(c.mounts)
			c.mounts[at] = m
		}
		return nil
	})
}

// WithAbsoluteLinks allows symbolic links with absolute targets, which start at the guest's root.
// Default: making or following such a link is EPERM, as the official test suite demands.
func WithAbsoluteLinks() GuestOption {
	return guestOption("WithAbsoluteLinks", func(c *config) error { c.links = true; return nil })
}

// WithRandom sets the source of random_get. Default: the Host's seed if it has one ([WithSeed]),
// else the system.
func WithRandom(s random.Source) GuestOption {
	return guestOption("WithRandom", func(c *config) error {
		if s == nil {
			return fmt.Errorf("the source is nil")
		}
		c.random = s
		return nil
	})
}

// WithExitHook calls f with the exit code when a guest calls proc_exit, before the guest ends.
func WithExitHook(f func(code uint32)) GuestOption {
	return guestOption("WithExitHook", func(c *config) error { c.hooks.Exit = f; return nil })
}

// WithSignalHook lets f decide what happens when a guest raises a signal with proc_raise: nothing,
// or the guest ends. Default: [process.DefaultAction].
func WithSignalHook(f func(wasip1.Signal) process.Action) GuestOption {
	return guestOption("WithSignalHook", func(c *config) error { c.hooks.Signal = f; return nil })
}
