package fleet

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/tetratelabs/wazero"
	"golang.org/x/sync/singleflight"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/archive"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/explore"
)

const (
	// maxInline is how much output a Result carries itself.
	maxInline = 32 << 10
	// maxTree bounds the content of an input or output tree, in bytes.
	maxTree = 1 << 30
	// maxEntries bounds the number of files of an input tree.
	maxEntries = 1 << 20
	// maxCached is how many modules, and how many trees, an Executor keeps, and maxCachedTrees how
	// many bytes the trees may take together.
	maxCached      = 32
	maxCachedTrees = 1 << 30
)

// objects is where an Executor finds what a job names, and puts what it produced. A [Client] is
// one.
type objects interface {
	Get(ctx context.Context, hash string) ([]byte, error)
	Put(ctx context.Context, b []byte) (hash string, err error)
}

// Executor runs jobs. It keeps compiled modules and unpacked trees for the next job.
type Executor struct {
	objects objects
	cache   wazero.CompilationCache
	modules cached[*compiled]
	trees   cached[*memfs.FS]
	// campaigns are explorations, by the hash of a job without its seeds.
	campaigns cached[*explore.Campaign]
}

// NewExecutor returns an Executor that reads and stores objects through c.
func NewExecutor(c *Client) *Executor { return newExecutor(c) }

func newExecutor(o objects) *Executor {
	e := &Executor{objects: o, cache: wazero.NewCompilationCache()}
	e.trees.most = maxCachedTrees
	e.trees.weigh = func(f *memfs.FS) int64 { u := f.Usage(); return u.Bytes + u.Metadata }
	e.campaigns.drop = func(c *explore.Campaign) { c.Close(context.Background()) }
	e.modules.drop = func(c *compiled) { c.host.Close(context.Background()) }
	return e
}

// Close frees the modules.
func (e *Executor) Close(ctx context.Context) error {
	e.campaigns.clear()
	e.modules.clear()
	return e.cache.Close(ctx)
}

// Run runs a job. The error says that the run could not be made; how the guest ended is the Result.
func (e *Executor) Run(ctx context.Context, j Job) (*Result, error) {
	r, _, err := e.run(ctx, j, false)
	return r, err
}

// run is Run; record asks for a recording of the run.
func (e *Executor) run(ctx context.Context, j Job, record bool) (_ *Result, recording []byte, err error) {
	if err := j.Validate(); err != nil {
		return nil, nil, err
	}
	if j.Seeds != nil {
		r, err := e.explore(ctx, j)
		return r, nil, err
	}
	module, release, err := e.module(ctx, j.Module)
	if err != nil {
		return nil, nil, err
	}
	defer release()
	world, err := e.world(ctx, j)
	if err != nil {
		return nil, nil, err
	}
	l := j.Limits.withDefaults()
	host, err := module.host.Sibling(append(world, virt.Deterministic(j.Seed), virt.WithHash(), virt.WithMaxThreads(cmp.Or(l.Threads, virt.NoThreads)))...)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, host.Close(context.WithoutCancel(ctx))) }()
	var out, errs, tape bytes.Buffer
	opts := []virt.GuestOption{virt.WithStdout(&out), virt.WithStderr(&errs)}
	if record {
		opts = append(opts, virt.WithRecording(&tape))
	}
	if j.Stdin != "" {
		in, err := e.objects.Get(ctx, j.Stdin)
		if err != nil {
			return nil, nil, err
		}
		opts = append(opts, virt.WithStdin(bytes.NewReader(in)))
	}
	guest, err := host.Instantiate(ctx, module.module, opts...)
	if err != nil {
		return nil, nil, err
	}
	ended, err := guest.Run(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, guest.Close(context.WithoutCancel(ctx)))
	}
	defer func() { err = errors.Join(err, guest.Close(context.WithoutCancel(ctx))) }()
	if ended.Outcome == virt.Canceled || ended.Outcome == virt.Failed {
		return nil, nil, fmt.Errorf("the run did not end: %w", ended.Err)
	}
	r := &Result{Text: ended.String(), Exit: exitStatus(ended), Hash: hex.EncodeToString(ended.Hash[:])}
	if r.Stdout, r.StdoutObject, err = e.keep(ctx, out.Bytes()); err != nil {
		return nil, nil, err
	}
	if r.Stderr, r.StderrObject, err = e.keep(ctx, errs.Bytes()); err != nil {
		return nil, nil, err
	}
	if j.Export != "" {
		if r.Tree, err = e.export(ctx, guest, j.Export); err != nil {
			return nil, nil, err
		}
	}
	return r, tape.Bytes(), nil
}

// explore runs all seeds of the job's range.
func (e *Executor) explore(ctx context.Context, j Job) (*Result, error) {
	whole := j
	whole.Seeds = nil
	campaign, release, err := e.campaigns.get(whole.hash(), func() (*explore.Campaign, error) {
		ctx := context.WithoutCancel(ctx) // other chunks go on with it
		wasm, err := e.objects.Get(ctx, j.Module)
		if err != nil {
			return nil, err
		}
		c, err := e.exploration(ctx, j, wasm)
		if err != nil {
			return nil, err
		}
		c.First, c.Last, c.Workers, c.ShrinkRuns = j.Seeds.First, j.Seeds.Last, 1, -1
		return explore.NewCampaign(ctx, c)
	})
	if err != nil {
		return nil, err
	}
	defer release()
	report, err := campaign.Run(ctx, j.Seeds.First, j.Seeds.Last)
	if err != nil {
		return nil, err
	}
	r := &Result{Text: fmt.Sprintf("%d runs, %d outcomes", report.Runs, len(report.Outcomes))}
	for _, o := range report.Outcomes {
		r.Outcomes = append(r.Outcomes, Outcome{What: o.What, Output: hex.EncodeToString(o.Output[:]), Seeds: o.Seeds, Seed: o.Seed, By: o.By})
	}
	sortOutcomes(r.Outcomes)
	return r, nil
}

// exploration is what all explorations of a job's module have in common.
func (e *Executor) exploration(ctx context.Context, j Job, wasm []byte) (explore.Config, error) {
	if _, err := e.world(ctx, j); err != nil {
		return explore.Config{}, err
	}
	return explore.Config{
		Wasm:    wasm,
		Host:    []virt.Option{e.engine()},
		World:   func(uint64) ([]virt.Option, error) { return e.world(ctx, j) },
		Threads: j.Limits.Threads,
		Fuel:    j.Limits.withDefaults().Fuel,
	}, nil
}

// engine is the compiler with the Executor's cache.
func (e *Executor) engine() virt.Option {
	return virt.WithRuntimeConfig(wazero.NewRuntimeConfig().WithCompilationCache(e.cache))
}

// compiled is a module with the Host that compiled it, of which the runs' Hosts are siblings.
type compiled struct {
	host   *virt.Host
	module *virt.Module
}

// module returns the compiled module with the hash. release says that it is no longer in use.
func (e *Executor) module(ctx context.Context, hash string) (c *compiled, release func(), err error) {
	return e.modules.get(hash, func() (*compiled, error) {
		wasm, err := e.objects.Get(ctx, hash)
		if err != nil {
			return nil, err
		}
		host, err := virt.NewBuilder(virt.Deterministic(0), e.engine()).Build(ctx)
		if err != nil {
			return nil, err
		}
		module, err := host.Compile(ctx, wasm)
		if err != nil {
			return nil, errors.Join(err, host.Close(ctx))
		}
		return &compiled{host, module}, nil
	})
}

// world returns the options of one run: files, arguments, environment and limits.
func (e *Executor) world(ctx context.Context, j Job) ([]virt.Option, error) {
	files := memfs.New()
	if j.Tree != "" {
		tree, release, err := e.trees.get(j.Tree, func() (*memfs.FS, error) {
			b, err := e.objects.Get(ctx, j.Tree)
			if err != nil {
				return nil, err
			}
			fsys := memfs.New()
			return fsys, archive.FromTar(fsys, bytes.NewReader(b), archive.WithMaxBytes(maxTree), archive.WithMaxEntries(maxEntries))
		})
		if err != nil {
			return nil, fmt.Errorf("tree %s: %w", j.Tree, err)
		}
		files = tree.Fork()
		release()
	}
	if err := files.MkdirAll("tmp"); err != nil {
		return nil, err
	}
	l := j.Limits.withDefaults()
	opts := []virt.Option{
		virt.WithMount("/", files), virt.WithDevices("/dev"), virt.WithArgs(j.Args...),
		virt.WithLimits(func(of *virt.Limits) {
			of.Fuel, of.Memory, of.DiskBytes, of.OutputBytes = l.Fuel, l.Memory, l.Disk, l.Output
		}),
	}
	for _, entry := range j.Env {
		name, value, _ := strings.Cut(entry, "=")
		opts = append(opts, virt.WithEnv(name, value))
	}
	return opts, nil
}

// keep returns output for a Result: itself, or the hash of an object if it is large.
func (e *Executor) keep(ctx context.Context, b []byte) (inline []byte, object string, err error) {
	if len(b) <= maxInline {
		return b, "", nil
	}
	object, err = e.objects.Put(ctx, b)
	return nil, object, err
}

// export stores the tree below a path of the guest as a tar.
func (e *Executor) export(ctx context.Context, g *virt.Guest, path string) (string, error) {
	var tree vfs.FS
	tree, err := g.Namespace().Root().FS(path)
	if err != nil {
		return "", nil // the guest did not make it: nothing is kept
	}
	var b bytes.Buffer
	if err := archive.ToTar(tree, &b, archive.WithMaxBytes(maxTree), archive.WithoutDevices()); err != nil {
		return "", fmt.Errorf("export %s: %w", path, err)
	}
	return e.objects.Put(ctx, b.Bytes())
}

// exitStatus is the exit code that a shell would see.
func exitStatus(r *virt.Result) uint32 {
	switch r.Outcome {
	case virt.Exited:
		return r.ExitCode
	case virt.Signaled:
		return 128 + uint32(r.Signal)
	case virt.Trapped:
		return 134
	case virt.Deadlocked:
		return 123
	}
	return 137
}

// cached keeps values by hash, the least recently used of which go first. A value that is in use
// stays until it is released.
type cached[T any] struct {
	drop   func(T)       // may be nil
	weigh  func(T) int64 // how large a value is; nil where only the number counts
	most   int64         // how large all together may be; the latest stays in any case
	flight singleflight.Group
	mu     sync.Mutex
	now    uint64
	values map[string]*kept[T]
	size   int64
}

type kept[T any] struct {
	value T
	users int
	used  uint64
	size  int64
	gone  bool
}

// get returns the value of a hash, which make makes if it is not there: once, however many ask.
func (c *cached[T]) get(hash string, make func() (T, error)) (value T, release func(), err error) {
	for {
		if k := c.take(hash); k != nil {
			return k.value, func() { c.release(k) }, nil
		}
		_, err, _ := c.flight.Do(hash, func() (any, error) {
			v, err := make()
			if err != nil {
				return nil, err
			}
			c.put(hash, v)
			return nil, nil
		})
		if err != nil {
			return value, nil, err
		}
	}
}

func (c *cached[T]) take(hash string) *kept[T] {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.values[hash]
	if k != nil {
		c.now++
		k.users, k.used = k.users+1, c.now
	}
	return k
}

func (c *cached[T]) put(hash string, v T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.values == nil {
		c.values = map[string]*kept[T]{}
	}
	c.now++
	k := &kept[T]{value: v, used: c.now}
	if c.weigh != nil {
		k.size = c.weigh(v)
	}
	c.values[hash], c.size = k, c.size+k.size
	for len(c.values) > maxCached || c.size > c.most && len(c.values) > 1 {
		oldest := ""
		for h, k := range c.values {
			if oldest == "" || k.used < c.values[oldest].used {
				oldest = h
			}
		}
		c.remove(oldest)
	}
}

// remove takes a value out of the cache. The last user drops it.
func (c *cached[T]) remove(hash string) {
	k := c.values[hash]
	delete(c.values, hash)
	c.size -= k.size
	if k.gone = true; k.users == 0 && c.drop != nil {
		c.drop(k.value)
	}
}

func (c *cached[T]) release(k *kept[T]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k.users--; k.users == 0 && k.gone && c.drop != nil {
		c.drop(k.value)
	}
}

func (c *cached[T]) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for h := range c.values {
		c.remove(h)
	}
}
