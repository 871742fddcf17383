package vfs

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/wasivirt/wasivirt/wasip1"
)

// Namespace maps paths to file systems. Several guests may share one. All methods may be called
// while guests run.
//
// An open directory shows mounts that were made below it later only if it is preopened, or if it
// was a mount point or an ancestor of one when it was opened.
type Namespace struct {
	absoluteLinks bool
	check         func(path string, fsys FS) error // nil for none
	synthetic     *mount                           // of the directories that stand where there is nothing real
	root          *mountPoint
	devices       *devices

	watchers atomic.Pointer[[]*watcher]

	mu       sync.Mutex
	env      Env
	relative []*mountPoint // in the order of mounting
	lastID   uint64
}

// devices hands out the device numbers of a Namespace and its clones: one for each file system.
type devices struct {
	mu   sync.Mutex
	last uint64
	fs   map[FS]uint64
}

// syntheticDev is the device number of the directories that lead to mount points.
const syntheticDev = 1

func (d *devices) number(fsys FS) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	comparable := reflect.ValueOf(fsys).Comparable()
	if comparable {
		if n, ok := d.fs[fsys]; ok {
			return n
		}
	}
	d.last++
	if comparable {
		d.fs[fsys] = d.last
	}
	return d.last
}

// NamespaceOption is an option of [NewNamespace].
type NamespaceOption func(*Namespace)

// WithAbsoluteLinks lets guests make and follow symbolic links with absolute targets. The targets
// start at the root of the absolute mounts. Without this option both are EPERM, as the official
// test suite of preview1 demands.
func WithAbsoluteLinks() NamespaceOption {
	return func(ns *Namespace) { ns.absoluteLinks = true }
}

// WithMountCheck calls check before each file system is mounted. If check returns an error,
// [Namespace.Mount] returns it and mounts nothing.
func WithMountCheck(check func(path string, fsys FS) error) NamespaceOption {
	return func(ns *Namespace) { ns.check = check }
}

// WithEnv attaches env, see [Namespace.Attach].
func WithEnv(env Env) NamespaceOption { return func(ns *Namespace) { ns.env = env } }

// NewNamespace returns a Namespace in which nothing is mounted.
func NewNamespace(opts ...NamespaceOption) *Namespace {
	// One for each guest is made: its parts are allocated together.
	parts := new(struct {
		ns      Namespace
		devices devices
	})
	ns := &parts.ns
	ns.devices = &parts.devices
	ns.devices.last, ns.devices.fs = syntheticDev, map[FS]uint64{}
	for _, opt := range opts {
		opt(ns)
	}
	ns.init()
	return ns
}

func (ns *Namespace) init() {
	ns.synthetic = newMount(ns, nil, nil, syntheticDev)
	ns.synthetic.readOnly = true
	ns.root = ns.newMountPoint("/", nil)
	ns.synthetic.root = ns.root
}

func (ns *Namespace) newMountPoint(name string, parent *mountPoint) *mountPoint {
	ns.lastID++
	p := &mountPoint{name: name, parent: parent, ns: ns, id: ns.lastID}
	if ns.env.Clock != nil {
		p.created = ns.env.Clock.Realtime()
	}
	return p
}

// Attach gives env to each mounted file system that is an [EnvFS], now and whenever one is mounted
// later.
func (ns *Namespace) Attach(env Env) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	ns.env = env
	ns.each(func(p *mountPoint, m *mount) {
		if e, ok := m.fs.(EnvFS); ok {
			e.Attach(env)
		}
	})
}

// MountOption is an option of [Namespace.Mount].
type MountOption func(*mount)

// WithReadOnly makes a mount read-only: every change returns EROFS.
func WithReadOnly() MountOption { return func(m *mount) { m.readOnly = true } }

// Mount mounts fsys at path. An absolute path is a place in the tree that guests see as "/"; its
// parents need not exist. Any other path is the name of a preopened directory of its own. A guest
// sees it only if it was mounted before the guest started. If the root of fsys is a file, the mount
// is that file; its path must be absolute.
//
// Errors: EINVAL for a path that is empty, contains ".." or a NUL byte, or is absolute and contains
// an empty or "." component; ENAMETOOLONG; EBUSY if something is mounted there; ENOTDIR for a
// single file at "/" or at a relative name.
func (ns *Namespace) Mount(path string, fsys FS, opts ...MountOption) error {
	if ns.check != nil && fsys != nil {
		if err := ns.check(path, fsys); err != nil {
			return err
		}
	}
	if err := ns.mount(path, fsys, opts); err != nil {
		return fmt.Errorf("mount %s: %w", path, err)
	}
	return nil
}

func (ns *Namespace) mount(path string, fsys FS, opts []MountOption) error {
	parts, err := mountPath(path)
	if err != nil {
		return err
	}
	if fsys == nil {
		return wasip1.EINVAL
	}
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if e, ok := fsys.(EnvFS); ok && ns.env.Clock != nil {
		e.Attach(ns.env)
	}
	root := fsys.Root()
	if root == nil {
		return wasip1.EINVAL
	}
	m := newMount(ns, fsys, root, ns.devices.number(fsys))
	for _, opt := range opts {
		opt(m)
	}
	if _, isDir := root.(Directory); !isDir && len(parts) == 0 {
		return wasip1.ENOTDIR
	}
	if path[0] != '/' {
		if slices.ContainsFunc(ns.relative, func(p *mountPoint) bool { return p.name == path }) {
			return wasip1.EBUSY
		}
		p := ns.newMountPoint(path, nil)
		p.mount.Store(m)
		ns.relative = append(ns.relative, p)
		return nil
	}
	p := ns.root
	for _, name := range parts {
		p = ns.mountPoint(p, name)
	}
	if !p.mount.CompareAndSwap(nil, m) {
		return wasip1.EBUSY
	}
	for ; p.parent != nil; p = p.parent {
		p.parent.show(p, true)
	}
	return nil
}

// mountPath splits an absolute path into its components; a relative one has none.
func mountPath(path string) ([]string, error) {
	switch {
	case path == "" || strings.IndexByte(path, 0) >= 0:
		return nil, wasip1.EINVAL
	case len(path) > MaxPath:
		return nil, wasip1.ENAMETOOLONG
	case path[0] != '/':
		return nil, nil
	}
	trimmed := strings.Trim(path, "/")
	if trimmed == "" {
		return nil, nil
	}
	parts := strings.Split(trimmed, "/")
	for _, name := range parts {
		if err := CheckName(name); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// mountPoint returns the mount point called name below p and makes it if it is not there. ns.mu is
// held.
func (ns *Namespace) mountPoint(p *mountPoint, name string) *mountPoint {
	if c := p.known[name]; c != nil {
		return c
	}
	if p.known == nil {
		p.known = map[string]*mountPoint{}
	}
	name = strings.Clone(name)
	c := ns.newMountPoint(name, p)
	p.known[name] = c
	return c
}

// show puts c among the children that walkers see, or takes it out. ns.mu is held.
func (p *mountPoint) show(c *mountPoint, on bool) {
	var list []*mountPoint
	if old := p.children.Load(); old != nil {
		list = slices.DeleteFunc(slices.Clone(old.byAge), func(o *mountPoint) bool { return o == c })
	}
	if on {
		list = append(list, c)
	}
	if len(list) == 0 {
		p.children.Store(nil)
		return
	}
	slices.SortFunc(list, func(a, b *mountPoint) int { return cmp.Compare(a.id, b.id) })
	next := &children{byAge: list}
	if len(list) > fewChildren {
		next.byName = make(map[string]*mountPoint, len(list))
		for _, o := range list {
			next.byName[o.name] = o
		}
	}
	p.children.Store(next)
}

// Unmount removes the mount at path. Files that are open in it stay open. Mounts below it stay.
// Errors: EINVAL if nothing is mounted there.
func (ns *Namespace) Unmount(path string) error {
	if err := ns.unmount(path); err != nil {
		return fmt.Errorf("unmount %s: %w", path, err)
	}
	return nil
}

func (ns *Namespace) unmount(path string) error {
	parts, err := mountPath(path)
	if err != nil {
		return err
	}
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if path[0] != '/' {
		i := slices.IndexFunc(ns.relative, func(p *mountPoint) bool { return p.name == path })
		if i < 0 {
			return wasip1.EINVAL
		}
		ns.relative[i].mount.Store(nil)
		ns.relative = slices.Delete(ns.relative, i, i+1)
		return nil
	}
	p := ns.root
	for _, name := range parts {
		if p = p.known[name]; p == nil {
			return wasip1.EINVAL
		}
	}
	if p.mount.Swap(nil) == nil {
		return wasip1.EINVAL
	}
	for ; p.parent != nil && !p.live(); p = p.parent {
		p.parent.show(p, false)
	}
	return nil
}

// Clone returns a Namespace with the same mounts. Mounts added to the clone are not seen in ns. The
// file systems are shared; watchers are not.
func (ns *Namespace) Clone() *Namespace {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	c := &Namespace{absoluteLinks: ns.absoluteLinks, check: ns.check, devices: ns.devices, env: ns.env}
	c.init()
	var copyTree func(from, to *mountPoint)
	copyTree = func(from, to *mountPoint) {
		if m := from.mount.Load(); m != nil {
			to.mount.Store(&mount{volume: m.volume, ns: c, readOnly: m.readOnly})
		}
		for _, child := range from.below() {
			twin := c.mountPoint(to, child.name)
			copyTree(child, twin)
			to.show(twin, true)
		}
	}
	copyTree(ns.root, c.root)
	for _, p := range ns.relative {
		twin := c.newMountPoint(p.name, nil)
		copyTree(p, twin)
		c.relative = append(c.relative, twin)
	}
	return c
}

// below returns the children by age.
func (p *mountPoint) below() []*mountPoint {
	if c := p.children.Load(); c != nil {
		return c.byAge
	}
	return nil
}

// each calls f for every mount: the absolute ones, parents first, then the relative ones. ns.mu is
// held.
func (ns *Namespace) each(f func(*mountPoint, *mount)) {
	var visit func(p *mountPoint)
	visit = func(p *mountPoint) {
		if m := p.mount.Load(); m != nil {
			f(p, m)
		}
		for _, c := range p.below() {
			visit(c)
		}
	}
	visit(ns.root)
	for _, p := range ns.relative {
		visit(p)
	}
}

// MountInfo describes one mount.
type MountInfo struct {
	Path     string
	FS       FS
	ReadOnly bool
	// Dev is the device number that guests see in filestat, the same for all mounts of one file
	// system.
	Dev uint64
}

// Mounts lists the mounts: first the absolute ones, parents before their children, then the
// relative ones in the order of mounting.
func (ns *Namespace) Mounts() []MountInfo {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	var list []MountInfo
	ns.each(func(p *mountPoint, m *mount) {
		list = append(list, MountInfo{Path: p.path(), FS: m.fs, ReadOnly: m.readOnly, Dev: m.dev})
	})
	return list
}

func (ns *Namespace) usesMachine() bool {
	return slices.ContainsFunc(ns.Mounts(), func(m MountInfo) bool { return UsesMachine(m.FS) })
}

// preopens returns the roots of the trees that a guest starts with.
func (ns *Namespace) preopens() []*mountPoint {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	var list []*mountPoint
	if ns.root.live() {
		list = append(list, ns.root)
	}
	return append(list, ns.relative...)
}
