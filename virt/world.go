package virt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/wasivirt/wasivirt/internal/safetext"
	"github.com/wasivirt/wasivirt/internal/vfslink"
	"github.com/wasivirt/wasivirt/process"
	"github.com/wasivirt/wasivirt/random"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/devfs"
	"github.com/wasivirt/wasivirt/vfs/stdio"
	"github.com/wasivirt/wasivirt/wasip1"
)

// streamNames are the paths of the standard streams, by descriptor.
var streamNames = [...]string{"<stdin>", "<stdout>", "<stderr>"}

// newGuest makes the world of one guest, before its module is instantiated.
func (h *Host) newGuest(ctx context.Context, m *Module, opts []GuestOption) (*Guest, error) {
	return h.makeGuest(ctx, m, &h.config, opts, nil)
}

// makeGuest is newGuest with other options than the Host's to begin with, which nobody changes.
// parent is who starts it, if a guest does.
func (h *Host) makeGuest(ctx context.Context, m *Module, c *config, opts []GuestOption, parent *Guest) (_ *Guest, err error) {
	g := &Guest{host: h, module: m, adopted: m.adopted, config: c, calls: make(chan struct{}, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.discard())
		}
	}()
	defer contain(&err)
	if len(opts) > 0 {
		own := *c
		own.forGuest = true
		g.config = &own
		if err := errors.Join(apply(&own, opts)...); err != nil {
			return nil, err
		}
	}
	c = g.config
	if err := errors.Join(c.checkGuest(), h.checkSelections(c)); err != nil {
		return nil, err
	}
	name := c.name(m)
	g.title, g.instance.guest = name, g
	args, err := c.arguments(name)
	if err != nil {
		return nil, err
	}
	env, err := c.env.Snapshot()
	if err != nil {
		return nil, err
	}
	if parent != nil {
		g.budgets, g.ns = parent.budgets, parent.ns
		g.family.depth, g.family.budget, g.family.root = parent.family.depth+1, parent.family.budget, parent.family.top()
	} else {
		g.budgets = newBudgets(&c.limits)
		g.family.budget = newAllowance(c.limits.Memory)
		g.shareDisk()
	}
	g.draw()
	if parent != nil { // it has taken a number among the guests all the same
		g.drawFrom(parent.source)
	}
	g.usage.start(g)
	g.hooks = &c.hooks
	if c.limits.Fuel != 0 && (m.report == nil || m.report.FuelGlobal == "") {
		return nil, errors.New("WithFuel: the module was compiled by a Host that does not count: give WithFuel to the Builder too")
	}
	if depth := h.first().config.limits.CallDepth; c.limits.CallDepth != depth {
		return nil, fmt.Errorf("Limits.CallDepth: the Builder set %d for all guests: leave it out for this one, or build another Host", depth)
	}
	if err := g.checkStack(); err != nil {
		return nil, err
	}
	g.files = vfs.NewTable(c.limits.Descriptors)
	if parent != nil {
		vfslink.Limit(g.files, parent.files)
	} else if p := h.budgets.descriptors; p != nil {
		vfslink.Limit(g.files, p)
	}
	g.base = context.WithoutCancel(ctx)
	threads := sched.Config{Name: safetext.Name(name), Clock: h.clock, MaxThreads: max(c.limits.Threads, 0)}
	if parent != nil {
		threads.Shared = parent.group
	} else if p := h.budgets.threads; p != nil {
		threads.Shared = p
	}
	g.group = sched.NewGroup(g.base, h.scheduler, threads)
	if err := g.open(); err != nil {
		return nil, err
	}
	g.stores = newStoreBuffers(c)
	if err := errors.Join(g.checkModel(), g.checkRecording()); err != nil {
		return nil, err
	}
	g.chains, g.hosted = g.compose()
	g.main = g.newThread(args, env)
	if err := errors.Join(g.prepareLibraries(ctx), g.preparePlugs()); err != nil {
		return nil, errors.Join(err, g.closeLibraries(ctx))
	}
	return g, nil
}

// draw gives the guest its randomness.
func (g *Guest) draw() {
	h := g.host
	switch {
	case g.config.random != nil:
		g.drawFrom(g.config.random)
	case h.seeded != nil:
		g.drawFrom(h.seeded.Stream(h.made.Add(1) - 1))
	default:
		g.drawFrom(random.System())
	}
}

// discard lets go of what a guest has that could not be made.
func (g *Guest) discard() error {
	if g.group != nil {
		g.group.Close()
	}
	if g.sharedDisk != nil {
		g.sharedDisk.Return()
	}
	if g.files == nil {
		return nil
	}
	return contained(g.files.Close)
}

// name is the guest's.
func (c *config) name(m *Module) string {
	if c.argv0 != "" {
		return c.argv0
	}
	if name := m.Name(); name != "" {
		return name
	}
	return "guest"
}

// arguments are the guest's, its name first.
func (c *config) arguments(name string) (*process.Strings, error) {
	args := c.args
	if c.argsFn != nil {
		var err error
		if args, err = c.argsFn(); err != nil {
			return nil, fmt.Errorf("WithArgsFunc: %w", err)
		}
	}
	return process.FixedArgs(append([]string{name}, args...)...).Snapshot()
}

// open gives the guest its first descriptors: standard streams, preopened directories, then what
// the embedder hands over.
func (g *Guest) open() error {
	standard := g.openStandard() // devices lead to them
	if g.ns == nil {
		ns, err := g.namespace()
		if err != nil {
			return err
		}
		g.ns = ns
	}
	p := vfs.Preopens{Stdin: standard[0], Stdout: standard[1], Stderr: standard[2], Namespace: g.ns}
	for i, given := range g.config.given {
		p.Files = append(p.Files, given.open(fmt.Sprintf("<preopened %d>", i)))
	}
	err := p.Install(g.files)
	switch {
	case errors.Is(err, wasip1.ENFILE):
		return &BudgetError{Budget: BudgetDescriptors, Err: wasip1.ENFILE, Reason: "the descriptors that it begins with are more than the Host's budget has left (WithSharedLimits)"}
	case err != nil:
		return &BudgetError{Budget: BudgetDescriptors, Err: wasip1.EMFILE, Reason: "it begins with more descriptors than Limits.Descriptors allows"}
	}
	return nil
}

// makeStreams makes the guest's standard streams.
func (g *Guest) makeStreams() (streams [3]vfs.Stream) {
	streams = g.config.streams
	if streams[0] == nil && g.config.stdin != nil {
		streams[0] = stdio.Reader(g.config.stdin, stdio.WithAround(g.mark))
	} else if streams[0] == nil {
		streams[0] = stdio.Discard{}
	}
	g.outputs(&streams)
	g.lent = nil
	for _, s := range streams {
		g.note(s)
	}
	for _, given := range g.config.given {
		g.note(given.stream)
	}
	g.limitOutput(&streams)
	return streams
}

// standardFiles are the open files of the standard streams that the guest has not closed.
func (g *Guest) standardFiles() (files [3]*vfs.OpenFile) {
	if g.files.Len() == 0 {
		return files // a new guest: to list its descriptors would say that others than its thread hold them
	}
	for _, d := range g.files.List() {
		if i := slices.Index(streamNames[:], d.Path); i >= 0 && d.File.Stream() != nil {
			files[i] = d.File
		}
	}
	return files
}

// openStandard returns open files for all three standard streams. What was made for the Host's
// writers and reader, and the guest has closed since, is made again; a stream of the embedder's
// that is closed stays so.
func (g *Guest) openStandard() [3]*vfs.OpenFile {
	files := g.standardFiles()
	if !slices.Contains(files[:], nil) {
		return files
	}
	made := g.makeStreams()
	for i, mode := range [...]vfs.OpenMode{vfs.OpenRead, vfs.OpenWrite, vfs.OpenWrite} {
		if files[i] == nil {
			g.streams[i] = made[i]
			files[i] = vfs.NewStream(streamNames[i], made[i], mode)
		}
	}
	return files
}

// outputs makes the streams of descriptors 1 and 2.
func (g *Guest) outputs(streams *[3]vfs.Stream) {
	out, err := g.config.writers[0], g.config.writers[1]
	if streams[1] == nil && streams[2] == nil && out != nil && err != nil {
		streams[1], streams[2] = stdio.Writers(out, err, g.stdio()...)
		return
	}
	for i, w := range g.config.writers {
		switch {
		case streams[i+1] != nil:
		case w != nil:
			streams[i+1] = stdio.Writer(w, g.stdio()...)
		case i == 1:
			streams[2] = &g.unread
		default:
			streams[i+1] = stdio.Discard{}
		}
	}
}

// limitOutput puts the budget of output, and the recorder, before the streams of descriptors 1 and
// 2.
func (g *Guest) limitOutput(streams *[3]vfs.Stream) {
	limited := g.budgets.output != nil || g.host.budgets.output != nil
	for i := 1; i <= 2; i++ {
		if limited {
			streams[i] = limitedOutput{wrappedOutput{streams[i]}, g}
		}
		if g.config.recording != nil {
			streams[i] = recordedOutput{wrappedOutput{streams[i]}, g, i - 1}
		}
	}
}

// namespace mounts what the options say or, where they say nothing, the default world.
func (g *Guest) namespace() (*vfs.Namespace, error) {
	opts := []vfs.NamespaceOption{vfs.WithEnv(g.host.env(g.fill))}
	if g.config.links {
		opts = append(opts, vfs.WithAbsoluteLinks())
	}
	if d := g.config.deterministic; d != nil && !d.MachineAccess {
		opts = append(opts, vfs.WithMountCheck(checkMount))
	}
	ns := vfs.NewNamespace(opts...)
	if g.config.mounts == nil {
		files, err := g.defaultFiles()
		if err != nil {
			return nil, err
		}
		return ns, errors.Join(ns.Mount("/", g.onBudget(files, nil)), ns.Mount("/dev", g.devices()))
	}
	for _, m := range g.config.mounts {
		fsys, err := m.make(g)
		if err != nil {
			return nil, fmt.Errorf("mount %s: %w", m.path, err)
		}
		if err := ns.Mount(m.path, g.onBudget(fsys, &m), m.opts...); err != nil {
			if strings.HasPrefix(m.path, "./") || strings.HasPrefix(m.path, "../") {
				err = fmt.Errorf("%w: a guest's path is absolute, or a name of its own", err)
			}
			return nil, err
		}
	}
	return ns, nil
}

// env is what file systems take from the Host. Where threads take turns, the thread in an operation
// keeps its turn, and those that are ready hold time: it passes only if it is moved.
func (h *Host) env(random func([]byte) error) vfs.Env {
	e := vfs.Env{Clock: h.clock, Random: random}
	if h.movable != nil {
		e.Sleep = h.movable.Advance
	}
	return e
}

// devices are the device files, of which the standard streams are the guest's.
func (g *Guest) devices() vfs.FS {
	return devfs.New(devfs.WithStreams(g.streams[0], g.streams[1], g.streams[2]))
}

// fill is randomness for devices.
func (g *Guest) fill(p []byte) error {
	_, err := g.random.Read(p)
	return err
}
