package hostfs

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// openers are the ways in which a file is opened.
var openers = map[string]func(root vfs.PathOpener, name string, oflags wasip1.Oflags, mode vfs.OpenMode) error{
	"path": func(root vfs.PathOpener, name string, oflags wasip1.Oflags, mode vfs.OpenMode) error {
		n, f, err := root.OpenPath(name, true, oflags, mode, 0o666)
		if err == nil {
			if f != nil {
				f.Close()
			}
			release(n)
		}
		return err
	},
	"node": func(root vfs.PathOpener, name string, _ wasip1.Oflags, mode vfs.OpenMode) error {
		n, err := root.Lookup(name)
		if err != nil {
			return err
		}
		defer release(n)
		r, ok := n.(vfs.RegularFile)
		if !ok {
			return wasip1.ENXIO
		}
		f, err := r.Open(mode)
		if err == nil {
			f.Close()
		}
		return err
	},
}

// fifoWaits reports whether nobody has the FIFO open for reading: a writer that does not wait is
// refused then.
func fifoWaits(t *testing.T, path string) bool {
	t.Helper()
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == nil {
		unix.Close(fd)
		return false
	}
	if err != unix.ENXIO {
		t.Fatal(err)
	}
	return true
}

func TestOpeningAFIFOLetsNobodyIn(t *testing.T) {
	for how, open := range openers {
		for _, mode := range []vfs.OpenMode{vfs.OpenRead, vfs.OpenWrite, vfs.OpenRead | vfs.OpenWrite, vfs.OpenRead | vfs.OpenTruncate} {
			for _, oflags := range []wasip1.Oflags{0, wasip1.OCreat, wasip1.OTrunc} {
				dir := t.TempDir()
				path := filepath.Join(dir, "fifo")
				if err := unix.Mkfifo(path, 0o666); err != nil {
					t.Fatal(err)
				}
				// Whoever waits for the other end goes on as soon as anybody opens it, and says so.
				var let atomic.Int32
				done := make(chan struct{}, 2)
				for _, flag := range []int{os.O_RDONLY, os.O_WRONLY} {
					// Two that wait for each other would let each other in: one at a time.
					if (flag == os.O_RDONLY) != (mode == vfs.OpenWrite) {
						continue
					}
					go func() {
						f, err := os.OpenFile(path, flag, 0)
						let.Add(1)
						if err == nil {
							f.Close()
						}
						done <- struct{}{}
					}()
				}
				root := pathOpener(newFS(t, dir))
				for range 20 {
					if err := open(root, "fifo", oflags, mode); !errors.Is(err, wasip1.ENXIO) {
						t.Errorf("%s mode %b %v: %v, want ENXIO", how, mode, oflags, err)
					}
				}
				if let.Load() != 0 {
					t.Errorf("%s mode %b %v: whoever waited for the other end of the FIFO was let in", how, mode, oflags)
				}
				fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK, 0)
				if err != nil {
					t.Fatal(err)
				}
				<-done
				unix.Close(fd)
			}
		}
	}
}

func TestAFIFOThatTakesAFilesPlaceLetsNobodyIn(t *testing.T) {
	for how, open := range openers {
		t.Run(how, func(t *testing.T) {
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, "file"), "x")
			fifo := filepath.Join(dir, "fifo")
			if err := unix.Mkfifo(fifo, 0o666); err != nil {
				t.Fatal(err)
			}
			root := pathOpener(newFS(t, dir))
			// In one step: "file" is a file or the FIFO, "fifo" the other.
			exchange := func() error {
				return unix.Renameat2(unix.AT_FDCWD, filepath.Join(dir, "file"), unix.AT_FDCWD, fifo, unix.RENAME_EXCHANGE)
			}
			if err := exchange(); err != nil {
				t.Fatal(err)
			}
			var stop atomic.Bool
			var swaps atomic.Int64
			done := make(chan struct{})
			go func() {
				defer close(done)
				for !stop.Load() {
					if exchange() == nil {
						swaps.Add(1)
					}
					runtime.Gosched()
				}
			}()
			// A writer that does not wait gets in exactly while somebody has the FIFO open for
			// reading.
			met := make(chan int, 1)
			go func() {
				n := 0
				for !stop.Load() {
					for _, name := range []string{"file", "fifo"} {
						fd, err := unix.Open(filepath.Join(dir, name), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
						if err != nil {
							continue
						}
						var st unix.Stat_t
						if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO {
							n++
						}
						unix.Close(fd)
					}
					runtime.Gosched()
				}
				met <- n
			}()
			for n := 0; n < 3000 || swaps.Load() < 100; n++ {
				_ = open(root, "file", 0, vfs.OpenRead)
				runtime.Gosched()
			}
			stop.Store(true)
			<-done
			if n := <-met; n > 0 {
				t.Errorf("a writer met a reader of the FIFO %d times", n)
			}
		})
	}
}

func TestWithoutProcfsFilesAreOpenedByName(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "file"), "x")
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o666); err != nil {
		t.Fatal(err)
	}
	fsys := newFS(t, dir)
	b := fsys.backend.(*held)
	b.proc, b.beneath = false, false
	if err := openers["node"](pathOpener(fsys), "file", 0, vfs.OpenRead); err != nil {
		t.Error(err)
	}
	wantErrno(t, "OpenPath", openers["path"](pathOpener(fsys), "file", 0, vfs.OpenRead), wasip1.ENOSYS)
	_, err := openNamed(b.dir.h.fd, "fifo", vfs.OpenRead, false)
	wantErrno(t, "a FIFO", err, wasip1.ENXIO)
	if !fifoWaits(t, filepath.Join(dir, "fifo")) {
		t.Error("the FIFO is open")
	}
}
