package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/view"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/inspect"
	"github.com/wasivirt/wasivirt/virt/trace"
)

// The limits of one script, beside those of virt.Untrusted.
const (
	scriptTime   = 2 * time.Second
	scriptMemory = 128 << 20
	scriptDisk   = 8 << 20
	scriptOutput = 256 << 10
	maxScripts   = 16
)

// Engine runs scripts, each in a fork of a guest that has started once.
type Engine struct {
	host     *virt.Host
	snapshot *virt.Snapshot
}

// NewEngine builds the guest, starts it, and takes a snapshot of it.
func NewEngine(ctx context.Context) (_ *Engine, err error) {
	wasm, err := build(ctx)
	if err != nil {
		return nil, err
	}
	options := []virt.Option{
		virt.Untrusted(),
		virt.WithModuleLimits(inspect.DefaultLimits()), // the engine is our own; its scripts are not
		virt.WithMaxGuests(maxScripts + 1),             // and the one that the snapshot is taken of
	}
	// The code that was compiled for the last start is used again.
	if dir, err := os.UserCacheDir(); err == nil {
		options = append(options, virt.WithCompilationCache(filepath.Join(dir, "wasivirt-script"), 0))
	}
	b := virt.NewBuilder(options...).With(
		virt.WithLimits(func(l *virt.Limits) {
			l.WallTime, l.Memory, l.DiskBytes, l.OutputBytes = scriptTime, scriptMemory, scriptDisk, scriptOutput
		}),
		virt.WithMountFunc("/", func(context.Context) (vfs.FS, error) { return memfs.New(), nil }))
	host, err := b.Build(ctx)
	if err != nil {
		return nil, err
	}
	e := &Engine{host: host}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close(context.WithoutCancel(ctx)))
		}
	}()
	module, err := host.Compile(ctx, wasm)
	if err != nil {
		return nil, err
	}
	guest, err := host.Instantiate(ctx, module)
	if err != nil {
		return nil, err
	}
	e.snapshot, err = guest.Snapshot(ctx)
	return e, errors.Join(err, guest.Close(ctx))
}

// build compiles the guest with the go command, which keeps the result.
func build(ctx context.Context) ([]byte, error) {
	dir, err := os.MkdirTemp("", "script")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "guest.wasm")
	cmd := exec.CommandContext(ctx, "go", "build", "-buildmode=c-shared", "-o", file, "github.com/wasivirt/wasivirt/examples/script/guest")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the engine: %w\n%s", err, out)
	}
	return os.ReadFile(file)
}

// Close frees everything.
func (e *Engine) Close(ctx context.Context) error {
	var errs []error
	if e.snapshot != nil {
		errs = append(errs, e.snapshot.Close())
	}
	return errors.Join(append(errs, e.host.Close(ctx))...)
}

// Output is what a script did.
type Output struct {
	Stdout string `json:"stdout"`
	Stderr string `json:"stderr"`
	// End tells how the script ended: "ok", "failed", or how the engine was stopped.
	End string `json:"end"`
	// Files are the contents of what it left, by path.
	Files map[string]string `json:"files"`
	// Trace has its calls that open, read, write and change files, one a line.
	Trace string `json:"trace,omitempty"`
	// Took is the time from the request to the end, in microseconds.
	Took int64 `json:"took"`
}

// Run runs one script in a world of its own with some files. The error says that it could not be
// run; how it ended is the Output.
func (e *Engine) Run(ctx context.Context, script string, files map[string]string) (*Output, error) {
	begun := time.Now()
	var stdout, stderr, calls bytes.Buffer
	guest, err := e.snapshot.Start(ctx, virt.WithStdout(&stdout), virt.WithStderr(&stderr), virt.WithTrace(trace.Text(&calls), trace.WithCalls("path_*,fd_read,fd_write")))
	if err != nil {
		return nil, err
	}
	s := &Session{guest: guest}
	for name, text := range files {
		if err := s.write(name, text); err != nil {
			return nil, errors.Join(err, s.Close(ctx))
		}
	}
	out := &Output{}
	out.End, err = s.Eval(ctx, script)
	if err == nil {
		out.Files, err = s.files()
	}
	if err = errors.Join(err, s.Close(context.WithoutCancel(ctx))); err != nil {
		return nil, err
	}
	out.Stdout, out.Stderr, out.Trace = stdout.String(), stderr.String(), calls.String()
	out.Took = time.Since(begun).Microseconds()
	return out, nil
}

// Session is an engine that keeps what scripts define, for one person at a terminal.
type Session struct{ guest *virt.Guest }

// Session makes a Session whose output goes to the options' writers.
func (e *Engine) Session(ctx context.Context, opts ...virt.GuestOption) (*Session, error) {
	guest, err := e.snapshot.Start(ctx, opts...)
	if err != nil {
		return nil, err
	}
	return &Session{guest: guest}, nil
}

// Eval runs a script. It returns "ok", "failed", or how the engine was stopped: it runs nothing any
// more then.
func (s *Session) Eval(ctx context.Context, script string) (end string, err error) {
	if err := s.write("/script", script); err != nil {
		return "", err
	}
	results, err := s.guest.Call(ctx, "run")
	if ended, ok := errors.AsType[*virt.ExitError](err); ok {
		return ended.Result.String(), nil
	} else if err != nil {
		return "", err
	}
	if results[0] != 0 {
		return "failed", nil
	}
	return "ok", nil
}

// Ended reports whether the engine was stopped.
func (s *Session) Ended() bool { return s.guest.Result().Outcome != virt.Running }

// Close ends the Session.
func (s *Session) Close(ctx context.Context) error { return s.guest.Close(ctx) }

func (s *Session) write(name, text string) error {
	root := s.guest.Namespace().Root()
	if err := root.MkdirAll(filepath.ToSlash(filepath.Dir(name)), 0o777); err != nil {
		return err
	}
	return root.WriteFile(name, []byte(text), 0o666)
}

// maxShown is how many bytes of a file are shown.
const maxShown = 64 << 10

// files returns the contents of the files that the scripts have left.
func (s *Session) files() (map[string]string, error) {
	root := s.guest.Namespace().Root()
	all := map[string]string{}
	err := fs.WalkDir(view.FSRoot(root), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || path == "script" {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Size() > maxShown {
			all[path] = fmt.Sprintf("(%d bytes)", info.Size())
			return nil
		}
		text, err := root.ReadFile(path)
		all[path] = string(text)
		return err
	})
	return all, err
}
