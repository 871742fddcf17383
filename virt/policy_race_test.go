package virt_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/hostfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/wasip1"
)

// secrets is a tree with a secret, and with data/l and data/d, links to what is none.
func secrets(t *testing.T, fsys vfs.FS) *vfs.Root {
	t.Helper()
	root, err := vfs.NewRoot(fsys)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"data", "data/sub", "data/sub/dir", "secret", "secret/dir"} {
		if err := root.Mkdir(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range map[string]string{"data/a": "data", "data/sub/key": "none", "secret/key": "the secret", "data/other": ""} {
		if err := root.WriteFile(name, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	relink(t, root, "data/l", "a")
	relink(t, root, "data/d", "sub")
	if err := root.Symlink("nowhere", "data/sub/link"); err != nil {
		t.Fatal(err)
	}
	if err := root.Symlink("nowhere", "secret/link"); err != nil {
		t.Fatal(err)
	}
	return root
}

// relink makes a link, or gives it another target.
func relink(t *testing.T, root *vfs.Root, link, target string) {
	t.Helper()
	_ = root.Remove(link) // it may not be there yet
	if err := root.Symlink(target, link); err != nil {
		t.Error(err)
	}
}

// TestALinkThatIsExchangedAfterTheDecision: middleware stands between the decision of the policy
// and the call, and does there what another thread of the guest might do. The call finds itself in
// the secret, and is refused.
func TestALinkThatIsExchangedAfterTheDecision(t *testing.T) {
	names := texts("data/l", "data/d/key", "data/d/new", "data/d/dir", "data/d/link", "data/a", "data/other", "data/d/gone/x")
	const l, key, fresh, dir, link, a, other, gone = 0, 1, 2, 3, 4, 5, 6, 7
	open := func(text, length, oflags int, rights wasip1.Rights) call {
		return call{"path_open", []any{3, 1, textAt(text), length, oflags, uint64(rights), uint64(0), 0, resultAt}}
	}
	calls := []call{
		open(l, 6, 0, wasip1.RightFdRead),
		open(l, 6, int(wasip1.OTrunc), wasip1.RightFdWrite),
		open(l, 6, int(wasip1.OCreat), wasip1.RightFdWrite),
		open(key, 10, 0, wasip1.RightFdRead),
		open(fresh, 10, int(wasip1.OCreat), wasip1.RightFdWrite),
		open(fresh, 10, int(wasip1.OCreat|wasip1.OExcl), wasip1.RightFdWrite),
		open(key, 10, int(wasip1.OCreat|wasip1.OExcl), wasip1.RightFdWrite), // EEXIST would tell
		open(gone, 13, 0, wasip1.RightFdRead),                               // so would ENOENT
		open(dir, 10, int(wasip1.ODirectory), 0),
		open(link, 11, 0, 0),
		{"path_create_directory", []any{3, textAt(fresh), 10}},
		{"path_filestat_get", []any{3, 1, textAt(l), 6, statAt}},
		{"path_filestat_get", []any{3, 0, textAt(key), 10, statAt}},
		{"path_filestat_set_times", []any{3, 1, textAt(l), 6, uint64(1), uint64(1), int(wasip1.FstAtim | wasip1.FstMtim)}},
		{"path_link", []any{3, 0, textAt(key), 10, 3, textAt(fresh), 8}}, // "data/d/n"
		{"path_link", []any{3, 0, textAt(a), 6, 3, textAt(fresh), 10}},
		{"path_link", []any{3, 0, textAt(gone), 13, 3, textAt(fresh), 10}},
		{"path_readlink", []any{3, textAt(link), 11, bufferAt, 100, resultAt}},
		{"path_remove_directory", []any{3, textAt(dir), 10}},
		{"path_rename", []any{3, textAt(key), 10, 3, textAt(other), 10}},
		{"path_rename", []any{3, textAt(other), 10, 3, textAt(key), 10}},
		{"path_rename", []any{3, textAt(gone), 13, 3, textAt(key), 10}},
		{"path_symlink", []any{textAt(a), 6, 3, textAt(fresh), 10}},
		{"path_unlink_file", []any{3, textAt(key), 10}},
	}
	want := make([]wasip1.Errno, len(calls))
	for i := range want {
		want[i] = notCapable
	}
	for name, newFS := range map[string]func(t *testing.T) vfs.FS{
		"memfs": func(*testing.T) vfs.FS { return memfs.New() },
		"hostfs": func(t *testing.T) vfs.FS {
			f, err := hostfs.New(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = f.Close() }) // nothing was written through a buffer
			return f
		},
	} {
		for place, above := range map[string]string{"/": "/", "rel": "rel/"} {
			for rule, policy := range map[string][]virt.Rule{
				"deny":  {virt.Deny("*", above+"secret/**")},
				"allow": {virt.Allow("path_*", above+"data/**"), virt.Deny("path_*")},
			} {
				t.Run(name+" at "+place+", "+rule, func(t *testing.T) {
					fsys := newFS(t)
					root := secrets(t, fsys)
					exchange := virt.WithMiddleware("path_*", func(c *virt.Call) wasip1.Errno {
						relink(t, root, "data/l", "../secret/key")
						relink(t, root, "data/d", "../secret")
						defer func() {
							relink(t, root, "data/l", "a")
							relink(t, root, "data/d", "sub")
						}()
						return c.Next()
					})
					host := newHost(t, virt.WithMount(place, fsys), virt.WithPolicy(policy...), exchange)
					r := runCommand(t, host, command(names, calls...), len(calls))
					if diff := cmp.Diff(want, r.errnos); diff != "" {
						t.Errorf("answers (-want +got):\n%s", diff)
					}
					content, err := root.ReadFile("secret/key")
					list, errList := root.ReadDir("secret")
					if string(content) != "the secret" || err != nil || len(list) != 3 || errList != nil {
						t.Errorf("the secret is %q, %v, beside %v, %v", content, err, list, errList)
					}
				})
			}
		}
	}
}

// TestADescriptorCountsByWhereItLed: a guest without threads opens through a link, takes the link
// away, and goes on with the descriptor.
func TestADescriptorCountsByWhereItLed(t *testing.T) {
	files := memfs.New()
	root := secrets(t, files)
	relink(t, root, "data/up", "..")
	wasm := command(texts("data/l", "data/up", "secret/key", "data/a"),
		call{"path_open", []any{3, 1, textAt(0), 6, 0, uint64(wasip1.RightFdRead), uint64(0), 0, resultAt}},
		call{"path_open", []any{3, 1, textAt(1), 7, int(wasip1.ODirectory), uint64(wasip1.RightPathOpen), uint64(wasip1.RightFdRead), 0, resultAt + 4}},
		call{"path_unlink_file", []any{3, textAt(0), 6}},
		call{"path_unlink_file", []any{3, textAt(1), 7}},
		readFd(from(resultAt)),
		call{"path_open", []any{from(resultAt + 4), 1, textAt(2), 10, 0, uint64(wasip1.RightFdRead), uint64(0), 0, resultAt + 8}},
		call{"path_open", []any{from(resultAt + 4), 1, textAt(3), 6, 0, uint64(wasip1.RightFdRead), uint64(0), 0, resultAt + 8}},
		readFd(from(resultAt+8)))
	relink(t, root, "data/l", "../secret/key")
	r := runCommand(t, newHost(t, virt.WithMount("/", files), virt.WithPolicy(virt.Deny("fd_read", "/secret/**"), virt.Deny("path_open", "/secret/dir"))), wasm, 8)
	wantErrnos(t, r, 0, 0, 0, 0, notCapable, 0, 0, 0)
	files = memfs.New()
	relink(t, secrets(t, files), "data/up", "..")
	r = runCommand(t, newHost(t, virt.WithMount("/", files), virt.WithPolicy(virt.Deny("*", "/secret/**"))), wasm, 8)
	wantErrnos(t, r, 0, 0, 0, 0, 0, notCapable, 0, 0)
}

// TestMiddlewareMayLeadElsewhere: policy is about what the guest asks for.
func TestMiddlewareMayLeadElsewhere(t *testing.T) {
	files := memfs.New()
	secrets(t, files)
	r := runCommand(t, newHost(t, virt.WithMount("/", files), virt.WithPolicy(virt.Allow("path_open", "/data/**"), virt.Deny("path_open"))),
		command(texts("data/a"), openText(0, 6, 0, resultAt), readFd(from(resultAt))), 2,
		virt.WithMiddleware("path_open", func(c *virt.Call) wasip1.Errno {
			c.SetPath("path", "secret/key")
			return c.Next()
		}))
	wantErrnos(t, r, 0, 0)
	if got := string(r.memory[bufferAt : bufferAt+10]); got != "the secret" {
		t.Errorf("read %q", got)
	}
}
