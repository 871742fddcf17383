package virt_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/faultfs"
	"github.com/wasivirt/wasivirt/vfs/hostfs"
	"github.com/wasivirt/wasivirt/vfs/iofs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
	"github.com/wasivirt/wasivirt/vfs/quotafs"
	"github.com/wasivirt/wasivirt/virt"
)

// storedSnapshot is the file of a snapshot of a guest that has changed everything it can, with a
// file open at 3.
func storedSnapshot(t testing.TB, host *virt.Host, m *virt.Module) []byte {
	t.Helper()
	g, err := host.Instantiate(t.Context(), m, virt.WithLimits(func(l *virt.Limits) { l.DiskBytes = 1000 }), virt.WithFuel(1<<40))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close(t.Context())
	for _, call := range []string{"bump", "drop"} {
		if _, err := g.Call(t.Context(), call); err != nil {
			t.Fatal(err)
		}
	}
	for _, params := range [][]uint64{{100, 7}, {65536, 0}} { // the second hides the module's data
		if _, err := g.Call(t.Context(), "poke", params...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := g.Call(t.Context(), "grow", 3); err != nil {
		t.Fatal(err)
	}
	if err := g.Namespace().Root().WriteFile("tmp/kept", make([]byte, 100), 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := g.Namespace().Root().OpenFile("tmp/open", os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Files().Insert(f); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("written")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(2, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if err := g.Namespace().Root().Remove("tmp/open"); err != nil {
		t.Fatal(err)
	}
	s, err := g.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var b bytes.Buffer
	n, err := s.WriteTo(&b)
	if err != nil || n != int64(b.Len()) {
		t.Fatalf("%d of %d bytes, %v", n, b.Len(), err)
	}
	return b.Bytes()
}

func fueled(t testing.TB, opts ...virt.Option) (*virt.Host, *virt.Module) {
	t.Helper()
	host, err := virt.NewBuilder(append(opts, virt.WithFuel(1<<40))...).Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	m, err := host.Compile(t.Context(), warmWasm)
	if err != nil {
		t.Fatal(err)
	}
	return host, m
}

func TestStoredSnapshotsStartWhereTheyWereTaken(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine virt.Option) {
		host, m := fueled(t, engine)
		file := storedSnapshot(t, host, m)
		if len(file) > 40_000 {
			t.Errorf("a guest that touched three pages has a file of %d bytes", len(file))
		}
		_, again := fueled(t, engine)
		s, err := virt.ReadSnapshot(again, bytes.NewReader(file), virt.WithLimits(func(l *virt.Limits) { l.DiskBytes = 1000 }))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for range 2 {
			g := started(t, s)
			got := []uint64{one(t, g, "bump"), one(t, g, "peek", 100), one(t, g, "text"), one(t, g, "size"), one(t, g, "started")}
			if d := cmp.Diff([]uint64{111, 7, 0, 5, 1}, got); d != "" {
				t.Error(d)
			}
			b := make([]byte, 10)
			if n, _ := g.Files().Get(3 + 1).Read(b); string(b[:n]) != "itten" {
				t.Errorf("the file that was open holds %q from where it was", b[:n])
			}
			if err := g.Namespace().Root().WriteFile("tmp/large", make([]byte, 901), 0o666); err == nil {
				t.Error("the fork got more disk than was left")
			}
			if _, err := g.Call(t.Context(), "init"); err == nil {
				t.Error("a data segment that was dropped is there again")
			}
		}
	})
}

func TestStoredSnapshotsAreBoundToModuleAndOptions(t *testing.T) {
	host, m := fueled(t)
	file := storedSnapshot(t, host, m)
	other, err := host.Compile(t.Context(), append(bytes.Clone(warmWasm), 0, 2, 1, 'x')) // one more custom section
	if err != nil {
		t.Fatal(err)
	}
	deep := hostOf(t, virt.WithFuel(1<<40), virt.WithLimits(func(l *virt.Limits) { l.CallDepth = 100 }))
	for name, c := range map[string]struct {
		m    *virt.Module
		want string
	}{
		"module":  {other, "SHA-256"},
		"options": {compiled(t, deep, warmWasm), "(Limits.CallDepth: no in the file, 100 here): build the Host with the same options"},
		"fuel":    {compiled(t, hostOf(t), warmWasm), "(counting of instructions, as for fuel and turns: yes in the file, no here)"},
		"engine":  {compiled(t, hostOf(t, virt.WithFuel(1), virt.WithInterpreter()), warmWasm), "(WithInterpreter: no in the file, yes here)"},
	} {
		_, err := virt.ReadSnapshot(c.m, bytes.NewReader(file))
		if !errors.Is(err, virt.ErrSnapshotMismatch) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("another %s: %v", name, err)
		}
	}
	next := bytes.Replace(file, []byte("snapshot 1\n"), []byte("snapshot 2\n"), 1)
	if _, err := virt.ReadSnapshot(m, bytes.NewReader(next)); !errors.Is(err, virt.ErrSnapshotMismatch) {
		t.Errorf("another version: %v", err)
	}
}

func TestMountsOfStoredSnapshots(t *testing.T) {
	host, m := fueled(t)
	lib := iofs.New(fstest.MapFS{"a": {Data: []byte("a")}})
	s := snapshotOf(t, newGuest(t, host, m, virt.WithMount("/", memfs.New()), virt.WithMount("/lib", lib, vfs.WithReadOnly()), virt.WithDevices("/dev")))
	var b bytes.Buffer
	if _, err := s.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if _, err := virt.ReadSnapshot(m, bytes.NewReader(b.Bytes())); err == nil || !strings.Contains(err.Error(), "/lib") {
		t.Errorf("a mount that is not in the file: %v", err)
	}
	again, err := virt.ReadSnapshot(m, &b, virt.WithMount("/lib", lib, vfs.WithReadOnly()))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	root := started(t, again).Namespace().Root()
	if b, err := root.ReadFile("lib/a"); err != nil || string(b) != "a" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := root.Lstat("dev/null"); err != nil {
		t.Error(err)
	}
	faulty, err := faultfs.New(memfs.New(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for layer, fsys := range map[string]vfs.FS{
		"*overlayfs.FS": overlayfs.New(lib, memfs.New()),
		"*faultfs.FS":   faulty,
		"*quotafs.FS":   quotafs.New(overlayfs.New(lib, memfs.New()), quotafs.Limits{}),
	} {
		s := snapshotOf(t, newGuest(t, host, m, virt.WithMount("/", fsys)))
		if _, err := s.WriteTo(io.Discard); err == nil || !strings.Contains(err.Error(), "mount /: the layer "+layer) || !strings.Contains(err.Error(), "memfs") {
			t.Errorf("a %s that can be changed: %v", layer, err)
		}
	}
}

// A Host that mounts what the Host of the snapshot mounted has the files of the snapshot all the
// same, and what was open in them; a mount that is given to ReadSnapshot takes their place.
func TestStoredFilesGoBeforeMountsOfTheHost(t *testing.T) {
	files := func(text string) *memfs.FS {
		fsys, err := memfs.FromMap(map[string]string{"a": text})
		if err != nil {
			t.Fatal(err)
		}
		return fsys
	}
	host := newHost(t, virt.WithMount("/data", files("first")))
	g := newGuest(t, host, compiled(t, host, warmWasm))
	f, err := g.Namespace().Root().OpenFile("data/a", os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := g.Files().Insert(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Namespace().Root().WriteFile("data/a", []byte("second"), 0o600); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if _, err := snapshotOf(t, g).WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	other := compiled(t, newHost(t, virt.WithMount("/data", files("third")), virt.WithMount("/more", files("more"))), warmWasm)
	for want, opts := range map[string][]virt.GuestOption{"second, more, open": nil, "given, more, closed": {virt.WithMount("/data", files("given"))}} {
		s, err := virt.ReadSnapshot(other, bytes.NewReader(file.Bytes()), opts...)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		fork := started(t, s)
		data, err := fork.Namespace().Root().ReadFile("data/a")
		more, err2 := fork.Namespace().Root().ReadFile("more/a")
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		got := string(data) + ", " + string(more) + ", closed"
		if open := fork.Files().Get(fd); open != nil {
			if b, err := io.ReadAll(io.NewSectionReader(open, 0, 100)); err != nil || string(b) != string(data) {
				t.Errorf("what was open has %q, %v", b, err)
			}
			got = string(data) + ", " + string(more) + ", open"
		}
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Directories of the machine that are mounted read-only cannot be forked, and need not be.
func TestSnapshotsOfGuestsWithDirectories(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("machine"), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := hostfs.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = files.Close() })
	host, m := fueled(t)
	lib := virt.WithMount("/lib", files, vfs.WithReadOnly())
	s := snapshotOf(t, newGuest(t, host, m, virt.WithMount("/", memfs.New()), lib))
	var b bytes.Buffer
	if _, err := s.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	again, err := virt.ReadSnapshot(m, &b, lib)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	for _, s := range []*virt.Snapshot{s, again} {
		g := started(t, s)
		for range 2 {
			if b, err := g.Namespace().Root().ReadFile("lib/a"); err != nil || string(b) != "machine" {
				t.Errorf("%q, %v", b, err)
			}
			if err := g.Reset(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	other := newGuest(t, host, m)
	if err := other.ResetTo(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	if b, err := other.Namespace().Root().ReadFile("lib/a"); err != nil || string(b) != "machine" {
		t.Errorf("reset to a snapshot that was read: %q, %v", b, err)
	}
}

func TestEveryDamageOfAStoredSnapshotIsAnError(t *testing.T) {
	host, m := fueled(t)
	file := storedSnapshot(t, host, m)
	step := 97
	if full {
		step = 1
	}
	read := func(what string, at int, file []byte) {
		s, err := virt.ReadSnapshot(m, bytes.NewReader(file), virt.WithLimits(func(l *virt.Limits) { l.DiskBytes = 1000 }))
		if err == nil {
			t.Errorf("%s at %d was not noticed", what, at)
			_ = s.Close()
		}
	}
	for at := 0; at < len(file); at++ {
		if at > 600 && at < len(file)-600 && at%step != 0 { // all of the beginning and of the end
			continue
		}
		damaged := bytes.Clone(file)
		for bit := range 8 {
			if full || bit == at%8 {
				damaged[at] = file[at] ^ 1<<bit
				read("a flip", at, damaged)
			}
		}
		read("a cut", at, file[:at])
	}
	read("a byte more", len(file), append(bytes.Clone(file), 0))
}

// sealed is a file with the checksum that it would have.
func sealed(file []byte) []byte {
	file = file[:max(len(file)-sha256.Size, 0)]
	sum := sha256.Sum256(file)
	return append(bytes.Clone(file), sum[:]...)
}

func FuzzReadSnapshot(f *testing.F) {
	host, m := fueled(f)
	f.Add(storedSnapshot(f, host, m))
	f.Fuzz(func(t *testing.T, file []byte) { startForged(t, m, sealed(file)) })
}

// startForged reads a file that somebody made up, and starts a guest of it if that is not refused.
func startForged(t *testing.T, m *virt.Module, file []byte) {
	t.Helper()
	s, err := virt.ReadSnapshot(m, bytes.NewReader(file), virt.WithLimits(func(l *virt.Limits) { l.DiskBytes = 1000 }))
	if err != nil {
		return
	}
	defer s.Close()
	g, err := s.Start(t.Context(), virt.WithMemoryLimit(1<<24))
	if err != nil {
		return
	}
	_, _ = g.Call(t.Context(), "bump") // it may trap
	if err := g.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// Files with a checksum that fits, and something else changed, are read without a panic.
func TestForgedSnapshotsDoNoHarm(t *testing.T) {
	host, m := fueled(t)
	file := storedSnapshot(t, host, m)
	n := 300
	if os.Getenv("WASIVIRT_FULL") != "" {
		n = 100_000
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range n {
		forged := bytes.Clone(file)
		for range 1 + rng.IntN(4) {
			at := rng.IntN(len(forged))
			if rng.IntN(2) == 0 {
				at = rng.IntN(600) // the pages are of the least interest
			} else if rng.IntN(2) == 0 {
				at = len(forged) - 1 - rng.IntN(600)
			}
			forged[at] = byte(rng.Uint32())
		}
		startForged(t, m, sealed(forged))
	}
}

// A snapshot that one process wrote starts in another.
func TestStoredSnapshotsCrossProcesses(t *testing.T) {
	if path := os.Getenv("WASIVIRT_TEST_SNAPSHOT"); path != "" {
		_, m := fueled(t)
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		s, err := virt.ReadSnapshot(m, f, virt.WithLimits(func(l *virt.Limits) { l.DiskBytes = 1000 }))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if got := one(t, started(t, s), "bump"); got != 111 {
			t.Errorf("bump: %d", got)
		}
		return
	}
	host, m := fueled(t)
	path := filepath.Join(t.TempDir(), "snapshot")
	if err := os.WriteFile(path, storedSnapshot(t, host, m), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestStoredSnapshotsCrossProcesses$", "-test.v")
	cmd.Env = append(os.Environ(), "WASIVIRT_TEST_SNAPSHOT="+path)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}
