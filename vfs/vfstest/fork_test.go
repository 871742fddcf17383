package vfstest_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/devfs"
	"github.com/wasivirt/wasivirt/vfs/faultfs"
	"github.com/wasivirt/wasivirt/vfs/hostfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
	"github.com/wasivirt/wasivirt/vfs/quotafs"
	"github.com/wasivirt/wasivirt/vfs/stdio"
	"github.com/wasivirt/wasivirt/vfs/vfstest"
	"github.com/wasivirt/wasivirt/wasip1"
)

func lower(t *testing.T) vfs.FS {
	t.Helper()
	f, err := memfs.FromMap(map[string]string{"low/a": "of the lower", "low/b": "to be removed", "low/c": "opened"})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func onMachine(t *testing.T) vfs.FS {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "low"), 0o777); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"low/a": "of the lower", "low/b": "to be removed", "low/c": "opened"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	f, err := hostfs.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func withFaults(t *testing.T, fsys vfs.FS, rules []faultfs.Rule, opts ...faultfs.Option) *faultfs.FS {
	t.Helper()
	f, err := faultfs.New(fsys, rules, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFork(t *testing.T) {
	quota := func(fsys vfs.FS) vfs.FS {
		return quotafs.New(fsys, quotafs.Limits{Bytes: 1000, Inodes: 100, DirEntries: 50})
	}
	for name, fsys := range map[string]vfs.FS{
		"memfs":                       memfs.New(),
		"quota":                       quota(memfs.New()),
		"fault":                       withFaults(t, memfs.New(), nil),
		"durability":                  withFaults(t, memfs.New(), nil, faultfs.WithDurability()),
		"overlay":                     overlayfs.New(lower(t), memfs.New()),
		"overlay of the machine":      overlayfs.New(onMachine(t), memfs.New()),
		"overlay of overlay":          overlayfs.New(overlayfs.New(lower(t), memfs.New()), memfs.New()),
		"quota of fault of overlay":   quota(withFaults(t, overlayfs.New(onMachine(t), memfs.New()), nil, faultfs.WithStrictDurability())),
		"overlay over quota of memfs": overlayfs.New(lower(t), quota(memfs.New())),
	} {
		t.Run(name, func(t *testing.T) {
			if err := vfstest.Fork(fsys); err != nil {
				t.Error(err)
			}
		})
	}
}

func fork(t *testing.T, fsys vfs.FS) (vfs.Fork, *vfs.Root) {
	t.Helper()
	var s vfs.Forking
	f, err := s.Fork(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return f, root(t, f.FS)
}

func root(t *testing.T, fsys vfs.FS) *vfs.Root {
	t.Helper()
	r, err := vfs.NewRoot(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What an overlay knows of its lower, and what descriptors have of it, is in the fork as it is in
// the original.
func TestForkOfAnOverlayKeepsTheDifference(t *testing.T) {
	for name, low := range map[string]vfs.FS{"memory": lower(t), "machine": onMachine(t)} {
		t.Run(name, func(t *testing.T) {
			o := overlayfs.New(low, memfs.New())
			r := root(t, o)
			must(t, r.Remove("low/b"))
			must(t, r.WriteFile("low/a", []byte("changed"), 0o666))
			must(t, r.Rename("low", "moved"))
			must(t, r.Link("moved/a", "second"))
			open, err := r.OpenFile("moved/c", os.O_RDONLY, 0)
			must(t, err)
			defer open.Close()
			must(t, r.Remove("moved/c"))

			taken, _ := fork(t, o)
			want, err := o.Diff()
			must(t, err)
			got, err := taken.FS.(*overlayfs.FS).Diff()
			must(t, err)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("the difference in the fork (-want +got):\n%s", d)
			}
			file, err := taken.Node(open.Node()).(vfs.RegularFile).Open(vfs.OpenRead)
			must(t, err)
			b := make([]byte, 10)
			if n, _ := file.ReadAt(b, 0); string(b[:n]) != "opened" {
				t.Errorf("a file of the lower that was removed while open holds %q", b[:n])
			}
			must(t, file.Close())
		})
	}
}

func TestForkOfAQuotaCountsWhatItHolds(t *testing.T) {
	shared := quotafs.NewQuota(100, 0)
	a := quotafs.New(memfs.New(), quotafs.Limits{}, quotafs.WithQuota(shared))
	b := quotafs.New(memfs.New(), quotafs.Limits{}, quotafs.WithQuota(shared))
	must(t, root(t, a).WriteFile("f", make([]byte, 40), 0o666))
	must(t, root(t, b).WriteFile("f", make([]byte, 30), 0o666))
	open, err := root(t, a).OpenFile("g", os.O_CREATE|os.O_RDWR, 0o666)
	must(t, err)
	defer open.Close()
	_, err = open.Write(make([]byte, 10))
	must(t, err)
	must(t, root(t, a).Remove("g"))

	var s vfs.Forking
	fa, err := s.Fork(a)
	must(t, err)
	fb, err := s.Fork(b)
	must(t, err)
	if err := root(t, fb.FS).WriteFile("h", make([]byte, 21), 0o666); !errors.Is(err, wasip1.EDQUOT) {
		t.Errorf("a fork took more than it has left: %v", err)
	}
	must(t, root(t, fb.FS).Remove("h"))
	fa.Settle() // nobody has g open there
	must(t, root(t, fb.FS).WriteFile("h", make([]byte, 30), 0o666))
	must(t, root(t, fa.FS).Remove("f"))
	must(t, root(t, fb.FS).WriteFile("i", make([]byte, 40), 0o666))
	if u := shared.Usage(); u.Bytes != 80 {
		t.Errorf("the original's quota has %d bytes in use, want 80", u.Bytes)
	}
	must(t, root(t, fb.FS).Remove("i"))
	for range 100 { // forks of forks count the same, however many
		must(t, root(t, fa.FS).WriteFile("f", make([]byte, 10), 0o666))
		must(t, root(t, fa.FS).Remove("f"))
		fa, _ = fork(t, fa.FS)
	}
	if u := fa.FS.(*quotafs.FS).Quota().Usage(); u.Bytes != 0 || u.Inodes != 0 || u.Metadata != 0 {
		t.Errorf("nothing is left, and %+v in use", u)
	}
	small := new(vfs.Forking)
	small.Use(shared, quotafs.NewQuota(69, 0))
	if _, err := small.Fork(a); err != nil {
		t.Error(err)
	}
	if _, err := small.Fork(b); !errors.Is(err, wasip1.EDQUOT) {
		t.Errorf("a quota too small for what the fork holds: %v", err)
	}
}

func TestForkOfFaultsGoesOn(t *testing.T) {
	f := withFaults(t, memfs.New(), []faultfs.Rule{{Op: "create", Path: "/**", Nth: 3, Errno: wasip1.EIO},
		{Op: "mkdir", Path: "/**", Probability: 0.5, Errno: wasip1.ENOSPC}}, faultfs.WithSeed(7), faultfs.WithDurability())
	must(t, root(t, f).WriteFile("a", nil, 0o666))
	must(t, root(t, f).WriteFile("b", nil, 0o666))
	run := func(fsys vfs.FS) (got []bool) {
		r := root(t, fsys)
		got = append(got, r.WriteFile("c", nil, 0o666) == nil)
		for _, name := range []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"} {
			got = append(got, r.Mkdir("d"+name, 0o777) == nil)
		}
		return got
	}
	taken, _ := fork(t, f)
	again, _ := fork(t, taken.FS)
	want := run(f)
	for _, fsys := range []vfs.FS{taken.FS, again.FS} {
		if d := cmp.Diff(want, run(fsys)); d != "" {
			t.Errorf("faults in the fork (-original +fork):\n%s", d)
		}
		must(t, fsys.(*faultfs.FS).LosePower())
		if _, err := root(t, fsys).Lstat("a"); !errors.Is(err, wasip1.ENOENT) {
			t.Errorf("what was not durable is in the fork after the power went: %v", err)
		}
	}
	if _, err := root(t, f).Lstat("a"); err != nil {
		t.Errorf("the power of the forks took from the original: %v", err)
	}
}

func TestForkOfDevicesHasOtherStreams(t *testing.T) {
	var s vfs.Forking
	out := stdio.Discard{}
	d := devfs.New(devfs.WithStreams(stdio.Discard{}, nil, stdio.Discard{}))
	must(t, d.AddLink("sub/link", "null"))
	s.Use(vfs.StandardStream(2), vfs.Stream(out))
	f, err := s.Fork(d)
	must(t, err)
	r := root(t, f.FS)
	for _, name := range []string{"null", "stdin", "stderr", "sub/link"} {
		a, err := r.Lstat(name)
		b, err2 := root(t, d).Lstat(name)
		if err != nil || err2 != nil || a.Ino != b.Ino {
			t.Errorf("%s: %+v, %v in the fork, %+v, %v in the original", name, a, err, b, err2)
		}
	}
}

func TestFileSystemsThatCannotBeForkedSaySo(t *testing.T) {
	machine := onMachine(t)
	for name, fsys := range map[string]vfs.FS{"machine": machine, "upper": overlayfs.New(lower(t), machine),
		"quota": quotafs.New(machine, quotafs.Limits{})} {
		if _, err := new(vfs.Forking).Fork(fsys); !errors.Is(err, wasip1.ENOTSUP) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
