package vfstest

import (
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// concurrentCases: what is true whatever the order in which goroutines come.
func concurrentCases() []Case {
	const many = 8
	// winners demands that one of many wins and the others get lost.
	winners := func(r *run, lost wasip1.Errno, do func(i int) error) {
		var won atomic.Int32
		r.parallel(many, func(i int) error {
			err := do(i)
			if err == nil {
				won.Add(1)
				return nil
			}
			return mustBe(err, "the loser", lost)
		})
		r.check(won.Load() == 1, "%d won, want 1", won.Load())
	}
	return []Case{
		{Name: "concurrent/create", run: func(r *run) {
			for round := range 20 {
				name := fmt.Sprintf("a%d", round)
				winners(r, wasip1.EEXIST, func(i int) error {
					var n vfs.Node
					var err error
					if i%2 == 0 {
						n, err = r.root.Create(name, 0o666)
					} else {
						n, err = r.root.Mkdir(name, 0o777)
					}
					if err == nil {
						release(n)
					}
					return err
				})
			}
		}},
		{Name: "concurrent/unlink", run: func(r *run) {
			for range 20 {
				r.create(r.root, "a")
				winners(r, wasip1.ENOENT, func(int) error { return r.root.Unlink("a") })
			}
			r.names(r.root)
		}},
		{Name: "concurrent/rename", run: func(r *run) {
			for round := range 20 {
				r.create(r.root, "a")
				winners(r, wasip1.ENOENT, func(i int) error {
					return r.root.Rename("a", r.root, fmt.Sprintf("b%d-%d", round, i))
				})
			}
			got := len(r.list(r.root, 0, 10))
			r.check(got == 20, "%d names, want 20", got)
		}},
		{Name: "concurrent/replace", needs: OpenUnlink, run: func(r *run) {
			// A file replaced by rename is always there, and always whole.
			const size = 5000
			version := func(c byte) string { return strings.Repeat(string(c), size) }
			r.write(r.root, "a", version('0'))
			var over atomic.Bool
			r.parallel(4, func(i int) error {
				if i == 0 {
					defer over.Store(true)
					for v := range 60 {
						n, err := r.root.Create("temporary", 0o666)
						if err != nil {
							return err
						}
						f, err := n.(vfs.RegularFile).Open(vfs.OpenWrite)
						if err != nil {
							return err
						}
						_, err = f.WriteAt([]byte(version(byte('a'+v%26))), 0)
						f.Close()
						release(n)
						if err != nil {
							return err
						}
						if err := r.root.Rename("temporary", r.root, "a"); err != nil {
							return err
						}
					}
					return nil
				}
				for !over.Load() {
					n, err := r.root.Lookup("a")
					if err != nil {
						return fmt.Errorf("lookup of a name that is always there: %w", err)
					}
					f, err := n.(vfs.RegularFile).Open(vfs.OpenRead)
					if wasip1.FromError(err) == wasip1.ENOENT {
						release(n) // replaced since
						continue
					}
					if err != nil {
						return err
					}
					s, err := readAll(f, 0, size+1)
					f.Close()
					release(n)
					if err != nil {
						return err
					}
					if s != version(s[0]) {
						return fmt.Errorf("read a file that was never whole: %d bytes of %.10q", len(s), s)
					}
				}
				return nil
			})
		}},
		{Name: "concurrent/append", run: func(r *run) {
			const records = 60
			n := r.create(r.root, "a")
			f := r.open(n)
			ap, ok := f.(vfs.Appender)
			if !ok {
				return
			}
			record := func(i, j int) string { return fmt.Sprintf("<%d:%d%s>", i, j, strings.Repeat(".", 100*i)) }
			r.parallel(many, func(i int) error {
				for j := range records {
					s := record(i, j)
					k, _, err := ap.Append([][]byte{[]byte(s[:3]), []byte(s[3:])})
					if err != nil || k != len(s) {
						return fmt.Errorf("append returns %d, %v", k, err)
					}
				}
				return nil
			})
			all := r.readAt(f, 0, int(r.attr(n).Size))
			total := 0
			for i := range many {
				for j := range records {
					s := record(i, j)
					r.check(strings.Count(all, s) == 1, "record %d:%d is there %d times", i, j, strings.Count(all, s))
					total += len(s)
				}
			}
			r.check(len(all) == total, "%d bytes, want %d", len(all), total)
		}},
		{Name: "concurrent/write", run: func(r *run) {
			const part = 20_000
			f := r.open(r.create(r.root, "a"))
			r.parallel(many, func(i int) error {
				p := []byte(strings.Repeat(string(rune('a'+i)), 100))
				for off := 0; off < part; off += 100 {
					if _, err := f.WriteAt(p, int64(i*part+off)); err != nil {
						return err
					}
				}
				return nil
			})
			want := ""
			for i := range many {
				want += strings.Repeat(string(rune('a'+i)), part)
			}
			r.content(r.root, "a", want)
		}},
		{Name: "concurrent/nlink", needs: HardLinks, run: func(r *run) {
			n := r.create(r.root, "a")
			r.parallel(many, func(i int) error {
				name := fmt.Sprintf("l%d", i)
				for range 30 {
					if err := r.root.Link(name, n); err != nil {
						return err
					}
					if err := r.root.Unlink(name); err != nil {
						return err
					}
				}
				return r.root.Link(name, n)
			})
			r.check(r.attr(n).Nlink == many+1, "nlink is %d, want %d", r.attr(n).Nlink, many+1)
		}},
		{Name: "concurrent/readdir", run: func(r *run) {
			var stays []string
			for i := range 60 {
				stays = append(stays, fmt.Sprintf("stays%d", i))
				r.create(r.root, stays[i])
			}
			var over atomic.Bool
			r.parallel(4, func(i int) error {
				if i > 1 {
					defer over.Store(true)
					for round := range 100 {
						name := fmt.Sprintf("comes%d-%d", i, round)
						n, err := r.root.Create(name, 0o666)
						if err != nil {
							return err
						}
						release(n)
						if err := r.root.Rename(name, r.root, name+"x"); err != nil {
							return err
						}
						if err := r.root.Unlink(name + "x"); err != nil {
							return err
						}
					}
					return nil
				}
				for !over.Load() {
					entries, err := readDir(r.root, 0, 7)
					if err != nil {
						return err
					}
					count := map[string]int{}
					for _, e := range entries {
						count[e.Name]++
					}
					for _, name := range stays {
						if count[name] != 1 {
							return fmt.Errorf("%s was met %d times", name, count[name])
						}
					}
				}
				return nil
			})
		}},
		{Name: "concurrent/directories", run: func(r *run) {
			// Directories moved into each other never make a circle, and none gets lost.
			dirs := make([]vfs.Directory, 4)
			for i := range dirs {
				dirs[i] = r.mkdir(r.root, fmt.Sprintf("d%d", i))
			}
			r.parallel(len(dirs), func(i int) error {
				name := fmt.Sprintf("d%d", i)
				at := r.root
				for step := range 100 {
					to := dirs[(i+1+step%3)%len(dirs)]
					if step%5 == 4 {
						to = r.root
					}
					switch err := at.Rename(name, to, name); wasip1.FromError(err) {
					case wasip1.ESUCCESS:
						at = to
					case wasip1.EINVAL: // the other lies below this one
					default:
						return fmt.Errorf("rename: %w", err)
					}
				}
				return nil
			})
			found := map[string]bool{}
			var visit func(d vfs.Directory, depth int)
			visit = func(d vfs.Directory, depth int) {
				r.check(depth <= len(dirs), "directories lie in a circle")
				for _, e := range r.list(d, 0, 10) {
					r.check(!found[e.Name], "%s is there twice", e.Name)
					found[e.Name] = true
					visit(r.lookupDir(d, e.Name), depth+1)
				}
			}
			visit(r.root, 0)
			r.check(len(found) == len(dirs), "%d of %d directories are left", len(found), len(dirs))
		}},
		{Name: "concurrent/remove-and-create", needs: OpenUnlink, run: func(r *run) {
			// Nothing is ever made in a directory that has gone.
			for range 40 {
				d := r.mkdir(r.root, "d")
				var made, removed atomic.Bool
				r.parallel(2, func(i int) error {
					if i == 0 {
						n, err := d.Create("a", 0o666)
						if err == nil {
							made.Store(true)
							release(n)
							return nil
						}
						return mustBe(err, "create", wasip1.ENOENT)
					}
					err := r.root.Rmdir("d")
					if err == nil {
						removed.Store(true)
						return nil
					}
					return mustBe(err, "rmdir", wasip1.ENOTEMPTY)
				})
				r.check(made.Load() != removed.Load(), "made: %v, removed: %v", made.Load(), removed.Load())
				if made.Load() {
					r.ok(d.Unlink("a"), "unlink")
					r.ok(r.root.Rmdir("d"), "rmdir")
				}
			}
		}},
	}
}
