package main

import (
	"archive/zip"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/archive"
	"github.com/wasivirt/wasivirt/vfs/hostfs"
	"github.com/wasivirt/wasivirt/vfs/iofs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
	"github.com/wasivirt/wasivirt/virt"
)

// world is what a run's flags ask to be there, and what has to be put away afterwards.
type world struct {
	*settings
	closers []func() error
}

// close puts away what options opened.
func (w *world) close() error {
	var errs []error
	for i := len(w.closers) - 1; i >= 0; i-- {
		errs = append(errs, w.closers[i]())
	}
	return errors.Join(errs...)
}

// options turns the flags into options of the Host.
func (w *world) options() ([]virt.Option, error) {
	k, err := parseClock(w.clock)
	if err != nil {
		return nil, err
	}
	opts := []virt.Option{
		virt.WithClock(k),
		virt.WithTimeout(w.timeout),
		virt.WithMemoryLimit(uint64(w.memory)),
		virt.WithMaxDescriptors(w.fds),
		virt.WithMaxOutput(uint64(w.output)),
		virt.WithMaxThreads(w.threads),
		virt.WithFuel(w.fuel),
	}
	if w.noPreempt {
		opts = append(opts, virt.WithoutPreemption())
	}
	if w.interpreter {
		opts = append(opts, virt.WithInterpreter())
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
			return nil, fmt.Errorf("-env %q: want K=V", kv)
		}
		opts = append(opts, virt.WithEnv(key, value))
	}
	for _, spec := range w.mounts {
		guest, what, ok := strings.Cut(spec, "=")
		if !ok || guest == "" {
			return nil, fmt.Errorf("-mount %q: want GUEST=SPEC, such as /data=mem", spec)
		}
		if what == "dev" {
			opts = append(opts, virt.WithDevices(guest))
			continue
		}
		fsys, err := w.mount(what)
		if err != nil {
			return nil, fmt.Errorf("-mount %q: %w", spec, err)
		}
		opts = append(opts, virt.WithMount(guest, fsys))
	}
	return opts, nil
}

// mount makes the file system that a SPEC names.
func (w *world) mount(spec string) (vfs.FS, error) {
	kind, arg, given := strings.Cut(spec, ":")
	if !given && kind != "mem" {
		return nil, fmt.Errorf("%q: want mem, mem:HOSTDIR, mem:FILE.tar, dir:HOSTDIR, ro:HOSTDIR, overlay:HOSTDIR, file:HOSTFILE, zip:FILE or dev", spec)
	}
	switch kind {
	case "mem":
		return w.inMemory(arg)
	case "dir":
		return w.host(hostfs.New(arg))
	case "ro":
		return w.host(hostfs.New(arg, hostfs.ReadOnly()))
	case "file":
		return w.host(hostfs.File(arg))
	case "overlay":
		lower, err := w.host(hostfs.New(arg, hostfs.ReadOnly()))
		if err != nil {
			return nil, err
		}
		return overlayfs.New(lower, memfs.New()), nil
	case "zip":
		r, err := zip.OpenReader(arg)
		if err != nil {
			return nil, err
		}
		w.closers = append(w.closers, r.Close)
		return iofs.New(r), nil
	}
	return nil, fmt.Errorf("%q is no kind of file system", kind)
}

// inMemory is an empty file system in memory, or one filled with a copy of a directory or a tar archive.
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
		return m, archive.FromDir(m, from)
	}
	f, err := os.Open(from)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return m, archive.FromTar(m, f)
}

// host notes a host directory for closing.
func (w *world) host(f *hostfs.FS, err error) (vfs.FS, error) {
	if err != nil {
		return nil, err
	}
	w.closers = append(w.closers, f.Close)
	return f, nil
}

// finish does what is asked for after the run.
func (w *world) finish() error { return nil }
