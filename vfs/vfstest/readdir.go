package vfstest

import (
	"fmt"
	"slices"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// readdirCases: listing, and that cookies stay good.
func readdirCases() []Case {
	fill := func(r *run, d vfs.Directory, n int) {
		for i := range n {
			r.create(d, fmt.Sprintf("f%04d", i))
		}
	}
	// once demands that each name that stays is in got once.
	once := func(r *run, got []vfs.DirEntry, stays []string) {
		count := map[string]int{}
		for _, e := range got {
			count[e.Name]++
		}
		for _, name := range stays {
			r.check(count[name] == 1, "%q was met %d times", name, count[name])
		}
	}
	return []Case{
		{Name: "readdir/empty", run: func(r *run) {
			n, err := r.mkdir(r.root, "d").ReadDir(0, make([]vfs.DirEntry, 5))
			r.ok(err, "readdir")
			r.check(n == 0, "%d entries in an empty directory", n)
		}},
		{Name: "readdir/entries", run: func(r *run) {
			want := map[string]vfs.Node{"file": r.create(r.root, "file"), "dir": r.mkdir(r.root, "dir")}
			if r.has(Symlinks) {
				want["link"] = r.symlink(r.root, "link", "file")
			}
			got := r.list(r.root, 0, 10)
			r.check(len(got) == len(want), "%d entries, want %d", len(got), len(want))
			for _, e := range got {
				n := want[e.Name]
				r.check(n != nil, "an entry %q", e.Name)
				r.check(e.Type == n.Type(), "%s has type %v, want %v", e.Name, e.Type, n.Type())
				r.check(e.Ino != 0 && e.Ino == r.ino(n), "%s has inode %d, want %d", e.Name, e.Ino, r.ino(n))
			}
		}},
		{Name: "readdir/sizes", run: func(r *run) {
			fill(r, r.root, 50)
			whole := namesOf(r.list(r.root, 0, 100))
			r.check(len(whole) == 50, "%d entries, want 50", len(whole))
			for _, size := range []int{1, 2, 7, 49, 50, 51} {
				got := namesOf(r.list(r.root, 0, size))
				r.check(slices.Equal(got, whole), "%d at a time, the list is another one", size)
			}
			n, err := r.root.ReadDir(0, nil)
			r.check(n == 0 && err == nil, "without room: %d, %v", n, err)
		}},
		{Name: "readdir/cookies", run: func(r *run) {
			fill(r, r.root, 50)
			whole := r.list(r.root, 0, 100)
			seen := map[uint64]bool{0: true}
			for i, e := range whole {
				r.check(e.Next < 1<<62, "the cookie %d is too large", e.Next)
				r.check(!seen[e.Next], "the cookie %d comes twice", e.Next)
				seen[e.Next] = true
				got := namesOf(r.list(r.root, e.Next, 8))
				r.check(slices.Equal(got, namesOf(whole[i+1:])), "after %q follows another list", e.Name)
			}
		}},
		{Name: "readdir/cookie-of-removed", run: func(r *run) {
			fill(r, r.root, 50)
			whole := r.list(r.root, 0, 100)
			for _, e := range whole[:25] {
				r.ok(r.root.Unlink(e.Name), "unlink")
			}
			got := namesOf(r.list(r.root, whole[24].Next, 8))
			r.check(slices.Equal(got, namesOf(whole[25:])), "the cookie after a removed entry leads elsewhere")
			got = namesOf(r.list(r.root, whole[10].Next, 8))
			r.check(slices.Equal(got, namesOf(whole[25:])), "a cookie amidst removed entries leads elsewhere")
		}},
		{Name: "readdir/remove-while-reading", run: func(r *run) {
			// As rm -r does: read some, remove them, go on.
			fill(r, r.root, 200)
			entries := make([]vfs.DirEntry, 7)
			cookie, removed := uint64(0), 0
			for {
				n, err := r.root.ReadDir(cookie, entries)
				r.ok(err, "readdir")
				if n == 0 {
					break
				}
				cookie = entries[n-1].Next
				for _, e := range entries[:n] {
					r.ok(r.root.Unlink(e.Name), "unlink "+e.Name)
					removed++
				}
			}
			r.check(removed == 200, "met %d of 200 entries", removed)
			r.names(r.root)
		}},
		{Name: "readdir/add-while-reading", run: func(r *run) {
			fill(r, r.root, 100)
			stays := namesOf(r.list(r.root, 0, 200))
			var got []vfs.DirEntry
			entries := make([]vfs.DirEntry, 3)
			for cookie, i := uint64(0), 0; ; i++ {
				n, err := r.root.ReadDir(cookie, entries)
				r.ok(err, "readdir")
				if n == 0 {
					break
				}
				got = append(got, entries[:n]...)
				cookie = entries[n-1].Next
				if i < 30 {
					r.create(r.root, fmt.Sprintf("added%d", i))
				}
			}
			once(r, got, stays)
		}},
		{Name: "readdir/change-while-reading", run: func(r *run) {
			fill(r, r.root, 120)
			var stays []string
			for i := 0; i < 120; i += 2 {
				stays = append(stays, fmt.Sprintf("f%04d", i))
			}
			var got []vfs.DirEntry
			entries := make([]vfs.DirEntry, 5)
			for cookie, i := uint64(0), 1; ; i += 2 {
				n, err := r.root.ReadDir(cookie, entries)
				r.ok(err, "readdir")
				if n == 0 {
					break
				}
				got = append(got, entries[:n]...)
				cookie = entries[n-1].Next
				if i < 120 {
					r.ok(r.root.Rename(fmt.Sprintf("f%04d", i), r.root, fmt.Sprintf("moved%d", i)), "rename")
				}
			}
			once(r, got, stays)
		}},
		{Name: "readdir/replace-while-reading", run: func(r *run) {
			// The name that a rename replaces is there all the time, so it is met once.
			fill(r, r.root, 40)
			stays := namesOf(r.list(r.root, 0, 100))
			var got []vfs.DirEntry
			entries := make([]vfs.DirEntry, 3)
			for cookie := uint64(0); ; {
				n, err := r.root.ReadDir(cookie, entries)
				r.ok(err, "readdir")
				if n == 0 {
					break
				}
				got = append(got, entries[:n]...)
				cookie = entries[n-1].Next
				r.check(len(got) < 1000, "reading does not end")
				r.create(r.root, "temporary")
				r.ok(r.root.Rename("temporary", r.root, entries[0].Name), "rename over "+entries[0].Name)
			}
			once(r, got, stays)
		}},
		{Name: "readdir/from-the-start", run: func(r *run) {
			fill(r, r.root, 10)
			r.list(r.root, 0, 3)
			r.ok(r.root.Unlink("f0003"), "unlink")
			r.create(r.root, "new")
			got := namesOf(r.list(r.root, 0, 3))
			r.check(len(got) == 10 && slices.Contains(got, "new") && !slices.Contains(got, "f0003"), "an old list: %q", got)
		}},
		{Name: "readdir/many", run: func(r *run) {
			const n = 3000
			for i := range n {
				node, err := r.root.Create(fmt.Sprintf("f%d", i), 0o666)
				r.ok(err, "create")
				release(node)
			}
			got := r.list(r.root, 0, 100)
			r.check(len(got) == n, "%d entries, want %d", len(got), n)
			inos := map[uint64]bool{}
			for _, e := range got {
				r.check(e.Ino != 0 && !inos[e.Ino] && e.Type == wasip1.FiletypeRegularFile, "entry %+v", e)
				inos[e.Ino] = true
			}
			for i := range n {
				if i%10 != 0 {
					r.ok(r.root.Unlink(fmt.Sprintf("f%d", i)), "unlink")
				}
			}
			left := namesOf(r.list(r.root, 0, 100))
			r.check(len(left) == n/10, "%d entries after unlinking, want %d", len(left), n/10)
		}},
		{Name: "readdir/after-directory-moved", needs: OpenUnlink, run: func(r *run) {
			d := r.mkdir(r.root, "d")
			fill(r, d, 20)
			entries := make([]vfs.DirEntry, 10)
			n, err := d.ReadDir(0, entries)
			r.ok(err, "readdir")
			first := slices.Clone(entries[:n])
			r.ok(r.root.Rename("d", r.mkdir(r.root, "e"), "d"), "rename")
			rest := r.list(d, entries[n-1].Next, 10)
			once(r, append(first, rest...), []string{"f0000", "f0007", "f0019"})
			r.check(len(first)+len(rest) == 20, "%d entries, want 20", len(first)+len(rest))
		}},
	}
}

// release lets go of a node that a case does not keep.
func release(n vfs.Node) {
	if rel, ok := n.(vfs.Releaser); ok {
		rel.Release()
	}
}
