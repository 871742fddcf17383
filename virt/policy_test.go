package virt_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/wasip1"
)

const notCapable = wasip1.ENOTCAPABLE

func TestPolicyByPath(t *testing.T) {
	// Text 0 to 7, each opened for reading; two files are read by descriptor afterwards.
	paths := []string{"data/a", "data/sub/b", "secret/key", "secret", "data/../secret/key", "data/link", "data/up/secret/key", "data"}
	var opens []call
	for i, p := range paths {
		opens = append(opens, call{"path_open", []any{3, int(wasip1.LookupSymlinkFollow), textAt(i), len(p), 0, uint64(0), uint64(0), 0, resultAt}})
	}
	for _, tc := range []struct {
		name  string
		rules []virt.Rule
		want  []wasip1.Errno
	}{
		{"nothing", nil, []wasip1.Errno{0, 0, 0, 0, 0, 0, 0, 0}},
		{"deny a tree", []virt.Rule{virt.Deny("path_*", "/secret/**")},
			[]wasip1.Errno{0, 0, notCapable, notCapable, notCapable, notCapable, notCapable, 0}},
		{"deny names in a directory", []virt.Rule{virt.Deny("*", "/data/*").With(wasip1.EACCES)},
			[]wasip1.Errno{wasip1.EACCES, 0, 0, 0, 0, wasip1.EACCES, 0, 0}},
		{"allow a tree and nothing else", []virt.Rule{virt.Allow("path_open", "/data/**"), virt.Deny("path_open")},
			[]wasip1.Errno{0, 0, notCapable, notCapable, notCapable, notCapable, notCapable, 0}},
		{"the first rule that fits decides", []virt.Rule{virt.Allow("path_open", "/secret/key"), virt.Deny("path_open", "/secret/**")},
			[]wasip1.Errno{0, 0, 0, notCapable, 0, notCapable, notCapable, 0}},
		{"other functions are not meant", []virt.Rule{virt.Deny("path_unlink_file", "/**"), virt.Deny("sock_*")}, []wasip1.Errno{0, 0, 0, 0, 0, 0, 0, 0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			files := memfs.New()
			for _, dir := range []string{"data/sub", "secret"} {
				if err := files.MkdirAll(dir); err != nil {
					t.Fatal(err)
				}
			}
			for _, f := range []string{"data/a", "data/sub/b", "secret/key"} {
				if err := files.WriteFile(f, nil); err != nil {
					t.Fatal(err)
				}
			}
			root, err := vfs.NewRoot(files)
			if err != nil {
				t.Fatal(err)
			}
			for link, target := range map[string]string{"data/link": "../secret/key", "data/up": ".."} {
				if err := root.Symlink(target, link); err != nil {
					t.Fatal(err)
				}
			}
			r := runCommand(t, newHost(t, virt.WithMount("/", files), virt.WithPolicy(tc.rules...)), command(texts(paths...), opens...), len(opens))
			// "the first rule": a link to what is allowed is denied where its own name is not, and
			// the other way round.
			if tc.name == "the first rule that fits decides" {
				if diff := cmp.Diff(tc.want[:5], r.errnos[:5]); diff != "" {
					t.Errorf("answers (-want +got):\n%s", diff)
				}
				return
			}
			if diff := cmp.Diff(tc.want, r.errnos); diff != "" {
				t.Errorf("answers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPolicyKnowsWhatALinkIsFor(t *testing.T) {
	// The guest makes links itself, one that leads to the secret and one that leads to where it is
	// found.
	wasm := command(texts("../secret/key", "data/link", "..", "data/up", "data/up/secret/key", "secret/key", "data/key"),
		call{"path_symlink", []any{textAt(0), 13, 3, textAt(1), 9}},
		call{"path_symlink", []any{textAt(2), 2, 3, textAt(3), 7}},
		call{"path_open", []any{3, 1, textAt(4), 18, 0, uint64(0), uint64(0), 0, resultAt}},
		call{"path_link", []any{3, 0, textAt(5), 10, 3, textAt(6), 8}},
		call{"path_rename", []any{3, textAt(5), 10, 3, textAt(6), 8}})
	files := memfs.New()
	for _, dir := range []string{"data", "secret"} {
		if err := files.MkdirAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := files.WriteFile("secret/key", nil); err != nil {
		t.Fatal(err)
	}
	r := runCommand(t, newHost(t, virt.WithMount("/", files), virt.WithPolicy(virt.Deny("path_*", "/secret/**"))), wasm, 5)
	wantErrnos(t, r, notCapable, 0, notCapable, notCapable, notCapable)
}

func TestPolicyOfDescriptors(t *testing.T) {
	wasm := command(texts("a", "b"), openText(0, 1, int(wasip1.OCreat), resultAt), openText(1, 1, int(wasip1.OCreat), resultAt+4),
		writeText(from(resultAt), 0), writeText(from(resultAt+4), 0), writeText(1, 0))
	r := runCommand(t, newHost(t, virt.WithPolicy(virt.Allow("fd_write", "/a", "<stdout>"), virt.Deny("fd_write"))), wasm, 5)
	wantErrnos(t, r, 0, 0, 0, notCapable, 0)
}

func TestAGuestCannotLoosenPolicy(t *testing.T) {
	host := newHost(t, virt.WithPolicy(virt.Deny("random_get")))
	r := runCommand(t, host, command(texts(), call{"random_get", []any{bufferAt, 4}}), 1, virt.WithPolicy(virt.Allow("*")))
	wantErrnos(t, r, notCapable)
	audit, err := host.Audit(command(texts(), call{"random_get", []any{bufferAt, 4}}))
	if err != nil || len(audit.Denied) != 1 || !strings.Contains(audit.Denied[0].Reason, "deny random_get") {
		t.Errorf("%+v, %v", audit, err)
	}
}

func TestAuditUnderAHost(t *testing.T) {
	host := newHost(t, virt.WithAllowedImports("fd_*", "env.call*"))
	wasm := command(texts(), call{"env.callback", nil}, call{"fd_close", []any{1}}, call{"sched_yield", nil})
	audit, err := host.Audit(wasm)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, d := range audit.Denied {
		got[d.Import.Module+"."+d.Import.Name] = d.Reason
	}
	want := map[string]string{"env.callback": "nobody provides it", "wasi_snapshot_preview1.sched_yield": "the sealed Host does not grant it"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("denied (-want +got):\n%s", diff)
	}
	if _, err := host.Compile(t.Context(), wasm); err == nil {
		t.Error("the module was compiled")
	}
	if _, err := host.Audit([]byte("no module")); err == nil {
		t.Error("what is no module was read")
	}
}
