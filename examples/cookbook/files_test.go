package cookbook

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing/fstest"

	"github.com/spf13/afero"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/aferofs"
	"github.com/wasivirt/wasivirt/vfs/archive"
	"github.com/wasivirt/wasivirt/vfs/faultfs"
	"github.com/wasivirt/wasivirt/vfs/hostfs"
	"github.com/wasivirt/wasivirt/vfs/iofs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
	"github.com/wasivirt/wasivirt/vfs/quotafs"
	"github.com/wasivirt/wasivirt/vfs/view"
	"github.com/wasivirt/wasivirt/virt"
)

// Give a guest files in memory, and read what it wrote. The usual world of a server or a test:
// nothing touches the disk.
func Example_filesInMemory() {
	files, err := memfs.FromMap(map[string]string{"in.txt": "some text"})
	check(err)
	_, err = virt.Run(ctx, wasm, virt.WithMount("/", files), virt.WithArgs("cat", "/in.txt", "write", "/out.txt", "result"), virt.WithStdout(os.Stdout))
	check(err)
	text, err := files.ReadFile("out.txt")
	check(err)
	fmt.Printf("\n%s\n", text)
	// Output:
	// some text
	// result
}

// Mount a directory of the machine. No link or race leads out of it.
func Example_directory() {
	dir, err := os.MkdirTemp("", "")
	check(err)
	defer os.RemoveAll(dir)
	fsys, err := hostfs.New(dir)
	check(err)
	defer fsys.Close()
	_, err = virt.Run(ctx, wasm, virt.WithMount("/data", fsys), virt.WithArgs("write", "/data/a", "text"))
	check(err)
	text, err := os.ReadFile(filepath.Join(dir, "a"))
	check(err)
	fmt.Printf("%s\n", text)
	// Output: text
}

// Mount a directory that the guest cannot change. For assets and configuration of the machine.
// Writes are EROFS.
func Example_readOnly() {
	dir, err := os.MkdirTemp("", "")
	check(err)
	defer os.RemoveAll(dir)
	fsys, err := hostfs.New(dir, hostfs.WithReadOnly())
	check(err)
	defer fsys.Close()
	_, err = virt.Run(ctx, wasm, virt.WithMount("/", fsys), virt.WithArgs("write", "/a", "text"), virt.WithStdout(os.Stdout))
	check(err)
	// Output: errno 69
}

// Let a guest change a copy of something, and see what it changed. For dry runs and reviews: the
// lower file system stays as it is.
func Example_overlay() {
	lower := iofs.New(fstest.MapFS{"a": {Data: []byte("old")}, "b": {Data: []byte("kept")}})
	fsys := overlayfs.New(lower, memfs.New())
	_, err := virt.Run(ctx, wasm, virt.WithMount("/", fsys), virt.WithArgs("write", "/a", "new", "write", "/c", "more"))
	check(err)
	changes, err := fsys.Diff()
	check(err)
	for _, c := range changes {
		fmt.Println(c.Kind, c.Path)
	}
	// Output:
	// modified a
	// added c
}

// Fill a world from a tar. For fixtures and images. zip files and directories work alike.
func Example_tarIn() {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	check(w.WriteHeader(&tar.Header{Name: "a", Size: 4, Mode: 0o644}))
	_, err := io.WriteString(w, "text")
	check(errors.Join(err, w.Close()))

	files := memfs.New()
	check(archive.FromTar(files, &b, archive.WithMaxBytes(1<<20)))
	_, err = virt.Run(ctx, wasm, virt.WithMount("/", files), virt.WithArgs("cat", "/a"), virt.WithStdout(os.Stdout))
	check(err)
	// Output: text
}

// Keep what a guest left as a tar. To store a result, or to begin another run with it.
func Example_tarOut() {
	files := memfs.New()
	_, err := virt.Run(ctx, wasm, virt.WithMount("/", files), virt.WithArgs("mkdir", "/d", "write", "/d/a", "text"))
	check(err)
	var b bytes.Buffer
	check(archive.ToTar(files, &b))
	for r := tar.NewReader(&b); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		check(err)
		fmt.Println(h.Name)
	}
	// Output:
	// d/
	// d/a
}

// Mount an embed.FS, or any other fs.FS. For files that are part of your program. The guest can
// only read them.
func Example_ioFS() {
	assets := fstest.MapFS{"a": {Data: []byte("text")}} // embed.FS goes here
	_, err := virt.Run(ctx, wasm, virt.WithMount("/assets", iofs.New(assets)), virt.WithArgs("cat", "/assets/a"), virt.WithStdout(os.Stdout))
	check(err)
	// Output: text
}

// Mount an afero.Fs. For programs that use afero already. The guest can write where the afero.Fs
// can.
func Example_afero() {
	store := afero.NewMemMapFs()
	_, err := virt.Run(ctx, wasm, virt.WithMount("/", aferofs.New(store)), virt.WithArgs("write", "/a", "text"))
	check(err)
	text, err := afero.ReadFile(store, "/a")
	check(err)
	fmt.Printf("%s\n", text)
	// Output: text
}

// Walk what a guest left as an fs.FS. For fs.WalkDir, http.FileServerFS, templates and everything
// else that takes one.
func Example_walk() {
	files := memfs.New()
	_, err := virt.Run(ctx, wasm, virt.WithMount("/", files), virt.WithArgs("mkdir", "/d", "write", "/d/a", "text"))
	check(err)
	check(fs.WalkDir(view.FS(files), ".", func(path string, d fs.DirEntry, err error) error {
		fmt.Println(path)
		return err
	}))
	// Output:
	// .
	// d
	// d/a
}

// Give each guest of a Host files of its own. For a server: a mount given to the Builder is shared
// by all guests, one given to a run is not.
func Example_filesForEach() {
	host, err := virt.NewBuilder(virt.WithMountFunc("/", func(context.Context) (vfs.FS, error) { return memfs.New(), nil }), virt.WithStdout(os.Stdout)).Build(ctx)
	check(err)
	defer host.Close(ctx)
	for range 2 {
		_, err := host.Run(ctx, wasm, virt.WithArgs("append", "/log", "x", "cat", "/log"))
		check(err)
	}
	// Output: xx
}

// Bound one mount instead of the whole guest. For a quota of each user that lasts longer than a
// guest. WithDiskLimit bounds one guest over all mounts.
func Example_quota() {
	small := quotafs.New(memfs.New(), quotafs.Limits{Bytes: 10, Inodes: 100})
	_, err := virt.Run(ctx, wasm, virt.WithMount("/tmp", small), virt.WithArgs("write", "/tmp/a", strings.Repeat("x", 10), "write", "/tmp/b", "x"), virt.WithStdout(os.Stdout))
	check(err)
	// Output: errno 51
}

// Let a file system fail. For faults of one mount, whoever uses it; WithFaults is for calls of a
// guest.
func Example_diskFault() {
	rule, err := faultfs.ParseRule("fd_write:/data/*:nth=2:EIO")
	check(err)
	faulty, err := faultfs.New(memfs.New(), []faultfs.Rule{rule})
	check(err)
	_, err = virt.Run(ctx, wasm, virt.WithMount("/", faulty),
		virt.WithArgs("mkdir", "/data", "write", "/data/a", "1", "write", "/data/b", "2"), virt.WithStdout(os.Stdout))
	check(err)
	// Output: errno 29
}

// Prepare and inspect files while a guest exists. For reactors: put files there between two calls.
func Example_filesOfAGuest() {
	host, err := virt.NewBuilder().Build(ctx)
	check(err)
	defer host.Close(ctx)
	module, err := host.Compile(ctx, wasm)
	check(err)
	guest, err := host.Instantiate(ctx, module, virt.WithArgs("cat", "/tmp/in"), virt.WithStdout(os.Stdout))
	check(err)
	check(guest.Namespace().Root().WriteFile("/tmp/in", []byte("text"), 0o644))
	_, err = guest.Run(ctx)
	check(err)
	// Output: text
}
