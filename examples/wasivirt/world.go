package main

import (
	"archive/zip"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/archive"
	"github.com/wasivirt/wasivirt/vfs/hostfs"
	"github.com/wasivirt/wasivirt/vfs/hostnet"
	"github.com/wasivirt/wasivirt/vfs/iofs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/explore"
	"github.com/wasivirt/wasivirt/virt/spawn"
)

// world is what a run's flags ask to be there, and what has to be put away afterwards.
type world struct {
	*settings
	ctx          context.Context // ends the filling of mounts; nil for none
	stderr       io.Writer       // shows how far what takes long has come; nil for nobody
	closers      []func() error
	leave        bool // a compilation that cannot be ended goes on: the process ends without waiting for it
	changes      []changed
	archives     map[string]*os.File // for what is asked for after the run, by flag
	mountOptions []virt.GuestOption  // the mounts among the options
	shared       *mounted            // of explore, whose runs share the engine too
}

// close puts away what options opened.
func (w *world) close() error {
	var errs []error
	for i := len(w.closers) - 1; i >= 0; i-- {
		errs = append(errs, w.closers[i]())
	}
	return errors.Join(errs...)
}

// budgets turns the flags that bound a run into options. Without a flag a budget is the default, or
// as -untrusted has it.
func (w *world) budgets() (opts []virt.Option) {
	if w.untrusted {
		opts = append(opts, virt.Untrusted())
	}
	return append(opts, virt.WithLimits(func(l *virt.Limits) {
		limit(w, "timeout", &l.WallTime, time.Duration(w.timeout))
		limit(w, "cpu", &l.CPUTime, time.Duration(w.cpu))
		limit(w, "stack", &l.Stack, uint64(w.stack))
		limit(w, "memory", &l.Memory, uint64(w.memory))
		limit(w, "output", &l.OutputBytes, uint64(w.output))
		limit(w, "fuel", &l.Fuel, uint64(w.fuel))
		limit(w, "disk", &l.DiskBytes, uint64(w.disk))
		l.Descriptors = cmp.Or(int(w.fds), l.Descriptors)
		l.Threads = cmp.Or(int(w.threads), l.Threads)
	}))
}

// limit sets a budget to the value of its flag, where 0 is no limit if the flag was given.
func limit[T comparable](w *world, name string, budget *T, value T) {
	var zero T
	if value != zero || w.given[name] {
		*budget = value
	}
}

// options turns the flags into options of the Host.
func (w *world) options() ([]virt.Option, error) {
	if err := w.settle(); err != nil {
		return nil, err
	}
	k, err := parseClock(w.clock)
	if err != nil {
		return nil, err
	}
	opts := append([]virt.Option{virt.WithClock(k)}, w.budgets()...)
	if w.noPreempt {
		opts = append(opts, virt.WithoutPreemption())
	}
	if w.absoluteLinks {
		opts = append(opts, virt.WithAbsoluteLinks())
	}
	if w.spawn {
		opts = append(opts, spawn.Functions(spawn.Config{}))
	}
	if w.connect != nil {
		n, err := network(w.connect)
		if err != nil {
			return nil, err
		}
		opts = append(opts, virt.WithNetwork(n))
	}
	if w.shared == nil {
		engine, err := w.engine()
		if err != nil {
			return nil, err
		}
		opts = append(opts, engine)
	}
	if w.seed.set {
		opts = append(opts, virt.WithSeed(w.seed.value))
	}
	for _, name := range w.envPass {
		if value, ok := os.LookupEnv(name); ok {
			opts = append(opts, virt.WithEnv(name, value))
		}
	}
	for _, kv := range w.env {
		key, value, ok := strings.Cut(kv, "=")
		if !ok {
			return nil, fmt.Errorf("-env %q: want K=V; -env-pass %s takes the variable of the host's environment", kv, shellWord(kv))
		}
		if key == "" {
			return nil, fmt.Errorf("-env %q: want K=V, with a name before the =", kv)
		}
		opts = append(opts, virt.WithEnv(key, value))
	}
	schedule, err := w.schedule()
	if err != nil {
		return nil, err
	}
	opts = append(opts, schedule...)
	listeners, err := w.listeners()
	if err != nil {
		return nil, err
	}
	opts = append(opts, listeners...)
	w.mountOptions = nil
	for _, spec := range w.mounts {
		guest, what, ok := strings.Cut(spec, "=")
		if !ok || guest == "" {
			want := "GUEST=SPEC, such as /data=mem or /src=dir:HOSTDIR (-dir HOSTDIR::GUEST mounts a directory too)"
			if host, guest, ok := strings.Cut(spec, ":"); ok && host != "" && guest != "" { // as wazero has it
				guest, readOnly := strings.CutSuffix(guest, ":ro")
				want = "-mount " + shellWord(guest+"="+map[bool]string{true: "ro:", false: "dir:"}[readOnly]+host)
			}
			return nil, fmt.Errorf("-mount %q: want %s", spec, want)
		}
		if what == "dev" {
			w.mountOptions = append(w.mountOptions, virt.WithDevices(guest))
			continue
		}
		fsys, err := w.filled(spec, what)
		if err == nil && w.diff != "" {
			fsys, err = w.watched(guest, what, fsys)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.flagOf(spec), err)
		}
		var how []vfs.MountOption
		if kind, _, _ := strings.Cut(what, ":"); kind == "ro" || kind == "file" || kind == "zip" {
			how = append(how, vfs.WithReadOnly()) // snapshots of the guest need not hold them
		}
		w.mountOptions = append(w.mountOptions, virt.WithMount(guest, fsys, how...))
	}
	if w.localhost {
		etc := memfs.New()
		if err := archive.FromMap(etc, map[string]string{"hosts": "127.0.0.1 localhost\n::1 localhost\n"}); err != nil {
			return nil, err
		}
		w.mountOptions = append(w.mountOptions, virt.WithMount("/etc", etc, vfs.WithReadOnly()))
	}
	for _, mount := range w.mountOptions {
		opts = append(opts, mount)
	}
	return opts, nil
}

// settle spells out the flags that are short for others.
func (w *world) settle() error {
	if w.switches != "" && w.switches != "accesses" && w.switches != "calls" {
		return fmt.Errorf("-switches %q: want accesses or calls", w.switches)
	}
	if w.untrusted && w.throwRef {
		return errors.New("-throw-ref: it is for modules that you trust, whose exceptions may end this process: leave out -untrusted")
	}
	if w.deterministic.set {
		if w.listen != nil {
			return errors.New("-listen: a real listener does not go with -deterministic: who connects when is not repeated")
		}
		for name, given := range map[string]bool{"-clock": w.clock != "real", "-seed": w.seed.set, "-sched": w.sched != "parallel"} {
			if given {
				return fmt.Errorf("%s: -deterministic sets it: give one of the two", name)
			}
		}
	}
	kind, seed, given := strings.Cut(w.sched, ":")
	switch {
	case w.sched == "parallel":
	case kind != "seeded":
		return fmt.Errorf("-sched %q: want parallel or seeded[:N]", w.sched)
	case given:
		if err := w.turns.Set(seed); err != nil {
			return fmt.Errorf("-sched %q: %w", w.sched, err)
		}
	default:
		w.turns = optional{set: true, value: w.seed.value}
	}
	if w.deterministic.set {
		if w.threads == 0 {
			w.threads = explore.DefaultThreads // a seed is one run, whichever command runs it
		}
		w.clock = "virtual:2000-01-01T00:00:00Z"
		w.seed, w.turns = w.deterministic, w.deterministic
	}
	return nil
}

// listeners opens the TCP listeners that the guest gets.
func (w *world) listeners() (opts []virt.Option, err error) {
	for _, addr := range w.listen {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, fmt.Errorf("-listen %q: want an address of the loopback with a port (127.0.0.1:8080, say)", addr)
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return nil, fmt.Errorf("-listen %q: want an address of the loopback (127.0.0.1:8080, say)", addr)
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, fmt.Errorf("-listen %q: %w", addr, err)
		}
		fmt.Fprintf(os.Stderr, "wasivirt: listening on %s\n", l.Addr())
		opts = append(opts, virt.WithPreopened(hostnet.NewListener(l)))
	}
	return opts, nil
}

// filled makes the file system of a mount, which may be filled with much.
func (w *world) filled(mount, spec string) (vfs.FS, error) {
	defer progress(w.stderr, still("filling -mount %s", mount))()
	return w.mount(spec)
}

// mount makes the file system that a SPEC names.
func (w *world) mount(spec string) (vfs.FS, error) {
	kind, arg, _ := strings.Cut(spec, ":")
	unknown := fmt.Errorf("%q is no kind of file system: want mem, mem:HOSTDIR, mem:FILE.tar, dir:HOSTDIR, ro:HOSTDIR, overlay:HOSTDIR, file:HOSTFILE, zip:FILE or dev", kind)
	if kind != "mem" && arg == "" {
		return nil, unknown
	}
	switch kind {
	case "mem":
		return w.inMemory(arg)
	case "overlay":
		lower, err := w.mount("ro:" + arg)
		if err != nil {
			return nil, err
		}
		return overlayfs.New(lower, memfs.New()), nil
	}
	if w.shared != nil {
		return w.shared.open(spec)
	}
	switch kind {
	case "dir":
		return w.host(hostfs.New(arg))
	case "ro":
		return w.host(hostfs.New(arg, hostfs.WithReadOnly()))
	case "file":
		return w.host(hostfs.File(arg))
	case "zip":
		r, err := zip.OpenReader(arg)
		if err != nil {
			return nil, err
		}
		w.closers = append(w.closers, r.Close)
		return iofs.New(r), nil
	}
	return nil, unknown
}

// watched makes a file system tell afterwards what was changed in it.
func (w *world) watched(guest, spec string, fsys vfs.FS) (vfs.FS, error) {
	c := changed{guest: guest}
	switch kind, _, _ := strings.Cut(spec, ":"); kind {
	case "overlay":
		c.fsys = fsys.(*overlayfs.FS)
	case "mem":
		c.fsys = overlayfs.New(fsys, memfs.New())
	case "dir":
		// The changes are kept apart while the guest runs, and then made in the directory.
		c.fsys, c.to = overlayfs.New(fsys, memfs.New()), fsys
	default:
		return fsys, nil // read-only
	}
	w.changes = append(w.changes, c)
	return c.fsys, nil
}

// inMemory is an empty file system in memory, or one filled with a copy of a directory or a tar
// archive.
func (w *world) inMemory(from string) (_ vfs.FS, err error) {
	m := memfs.New()
	if from == "" {
		return m, nil
	}
	info, err := os.Stat(from)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return m, archive.FromDir(m, from, archive.WithContext(w.ctx), archive.WithLinksOut())
	}
	f, err := os.Open(from)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := archive.FromTar(m, f, archive.WithContext(w.ctx), archive.WithLinksOut(), archive.WithMaxBytes(maxArchive)); err != nil {
		return nil, fmt.Errorf("mem: wants a directory or a tar (file: mounts a single file): %w", err)
	}
	return m, nil
}

// host notes a host directory for closing.
func (w *world) host(f *hostfs.FS, err error) (vfs.FS, error) {
	if err != nil {
		return nil, err
	}
	w.closers = append(w.closers, f.Close)
	return f, nil
}

// network is the machine's, as far as -connect grants it.
func network(grants []string) (*hostnet.Network, error) {
	var rules []hostnet.Rule
	for _, g := range grants {
		host, udp := strings.CutPrefix(g, "udp:")
		var ports []uint16
		if h, p, err := net.SplitHostPort(host); err == nil {
			n, err := strconv.ParseUint(p, 10, 16)
			if err != nil {
				return nil, fmt.Errorf("-connect %q: want HOST or HOST:PORT, after udp: for datagrams", g)
			}
			host, ports = h, []uint16{uint16(n)}
		}
		rule := hostnet.Connect(host, ports...)
		if udp {
			rule = rule.UDP()
		}
		rules = append(rules, rule)
	}
	n, err := hostnet.NewNetwork(rules...)
	if err != nil {
		return nil, fmt.Errorf("-connect: %w", err)
	}
	return n, nil
}
