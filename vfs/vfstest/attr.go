package vfstest

import (
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// attrCases: times, modes and what changes them.
func attrCases() []Case {
	// Full milliseconds are kept by every store that keeps times at all.
	const atim, mtim = 1_234_567_890_123_000_000, 987_654_321_000_000_000
	nodes := func(r *run) map[string]vfs.Node {
		return map[string]vfs.Node{"file": r.write(r.root, "file", "content"), "directory": r.mkdir(r.root, "directory")}
	}
	return []Case{
		{Name: "times/set", run: func(r *run) {
			for name, n := range nodes(r) {
				r.setAttr(n, vfs.SetAttr{Mask: vfs.SetAtim | vfs.SetMtim, Atim: atim, Mtim: mtim})
				for _, n := range []vfs.Node{n, r.lookup(r.root, name)} {
					a := r.attr(n)
					r.check(a.Atim == atim && a.Mtim == mtim, "times of the %s are %d, %d", name, a.Atim, a.Mtim)
				}
			}
		}},
		{Name: "times/set-one", run: func(r *run) {
			for name, n := range nodes(r) {
				r.setAttr(n, vfs.SetAttr{Mask: vfs.SetAtim | vfs.SetMtim, Atim: atim, Mtim: mtim})
				r.setAttr(n, vfs.SetAttr{Mask: vfs.SetAtim, Atim: mtim, Mtim: 7})
				a := r.attr(n)
				r.check(a.Atim == mtim && a.Mtim == mtim, "atim alone: times of the %s are %d, %d", name, a.Atim, a.Mtim)
				r.setAttr(n, vfs.SetAttr{Mask: vfs.SetMtim, Mtim: atim, Atim: 7})
				a = r.attr(n)
				r.check(a.Atim == mtim && a.Mtim == atim, "mtim alone: times of the %s are %d, %d", name, a.Atim, a.Mtim)
			}
		}},
		{Name: "times/set-symlink", needs: Symlinks, run: func(r *run) {
			file := r.create(r.root, "file")
			r.setAttr(file, vfs.SetAttr{Mask: vfs.SetMtim, Mtim: atim})
			l := r.symlink(r.root, "l", "file")
			r.setAttr(l, vfs.SetAttr{Mask: vfs.SetAtim | vfs.SetMtim, Atim: atim, Mtim: mtim})
			r.check(r.attr(l).Mtim == mtim, "mtim of the link is %d", r.attr(l).Mtim)
			r.check(r.attr(file).Mtim == atim, "setting followed the link")
		}},
		{Name: "times/nothing-set", run: func(r *run) {
			n := r.write(r.root, "a", "content")
			r.setAttr(n, vfs.SetAttr{Mask: vfs.SetAtim | vfs.SetMtim, Atim: atim, Mtim: mtim})
			r.setAttr(n, vfs.SetAttr{Size: 1, Atim: 1, Mtim: 1})
			a := r.attr(n)
			r.check(a.Size == 7 && a.Atim == atim && a.Mtim == mtim, "an empty change changed %+v", a)
		}},
		{Name: "times/write", run: func(r *run) {
			n := r.write(r.root, "a", "content")
			f := r.open(n)
			for what, change := range map[string]func(){
				"a write":           func() { r.writeAt(f, "x", 0) },
				"a longer write":    func() { r.writeAt(f, "0123456789", 3) },
				"a truncation":      func() { r.setAttr(n, vfs.SetAttr{Mask: vfs.SetSize, Size: 2}) },
				"opening truncated": func() { r.ok(r.openMode(n, vfs.OpenWrite|vfs.OpenTruncate).Close(), "close") },
			} {
				r.setAttr(n, vfs.SetAttr{Mask: vfs.SetMtim, Mtim: mtim})
				before := r.attr(n)
				change()
				r.ok(f.Sync(false), "sync")
				after := r.attr(n)
				r.check(after.Mtim > mtim, "%s left mtim", what)
				r.check(after.Ctim >= before.Ctim, "%s set ctim back", what)
			}
		}},
		{Name: "times/read", run: func(r *run) {
			n := r.write(r.root, "a", "content")
			r.setAttr(n, vfs.SetAttr{Mask: vfs.SetMtim, Mtim: mtim})
			before := r.attr(n)
			r.content(r.root, "a", "content")
			after := r.attr(n)
			r.check(after.Mtim == mtim, "a read changed mtim to %d", after.Mtim)
			r.check(after.Atim >= before.Atim, "a read set atim back")
		}},
		{Name: "times/directory", run: func(r *run) {
			d := r.mkdir(r.root, "d")
			for _, change := range []struct {
				what string
				do   func()
			}{
				{"create", func() { r.create(d, "a") }},
				{"mkdir", func() { r.mkdir(d, "b") }},
				{"rename", func() { r.ok(d.Rename("a", d, "c"), "rename") }},
				{"unlink", func() { r.ok(d.Unlink("c"), "unlink") }},
				{"rmdir", func() { r.ok(d.Rmdir("b"), "rmdir") }},
			} {
				r.setAttr(d, vfs.SetAttr{Mask: vfs.SetMtim, Mtim: mtim})
				change.do()
				r.check(r.attr(d).Mtim > mtim, "%s left the directory's mtim", change.what)
			}
		}},
		{Name: "times/change", run: func(r *run) {
			n := r.create(r.root, "a")
			before := r.attr(n)
			r.setAttr(n, vfs.SetAttr{Mask: vfs.SetMtim, Mtim: mtim})
			r.check(r.attr(n).Ctim >= before.Ctim, "setting mtim set ctim back")
			if r.has(HardLinks) {
				before = r.attr(n)
				r.ok(r.root.Link("b", n), "link")
				after := r.attr(n)
				r.check(after.Ctim >= before.Ctim && after.Mtim == mtim, "link set ctim back or changed mtim")
			}
		}},
		{Name: "mode/kept", needs: Modes, run: func(r *run) {
			n, err := r.root.Create("a", 0o640)
			r.ok(err, "create")
			keep(r, n)
			r.check(r.attr(n).Mode.Perm() == 0o640, "mode %v", r.attr(n).Mode)
			r.setAttr(n, vfs.SetAttr{Mask: vfs.SetMode, Mode: 0o700})
			r.check(r.attr(r.lookup(r.root, "a")).Mode.Perm() == 0o700, "mode %v", r.attr(n).Mode)
			d := r.mkdir(r.root, "d")
			r.setAttr(d, vfs.SetAttr{Mask: vfs.SetMode, Mode: 0o750})
			a := r.attr(d)
			r.check(a.Mode.Perm() == 0o750 && a.Type == wasip1.FiletypeDirectory, "mode %v, type %v", a.Mode, a.Type)
		}},
		{Name: "attr/several-at-once", run: func(r *run) {
			n := r.write(r.root, "a", "content")
			r.setAttr(n, vfs.SetAttr{
				Mask: vfs.SetSize | vfs.SetAtim | vfs.SetMtim,
				Size: 3, Atim: atim, Mtim: mtim,
			})
			a := r.attr(n)
			r.check(a.Size == 3 && a.Atim == atim && a.Mtim == mtim, "attributes are %+v", a)
		}},
	}
}
