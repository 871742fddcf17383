//go:build !linux

package stdio

import (
	"io"
	"io/fs"
	"os"

	"github.com/wasivirt/wasivirt/poll"
)

// Elsewhere than on Linux a goroutine reads and writes descriptors: /dev/fd does not open a file a
// second time there, and the runtime's poller does not take terminals.

func newRawSource(io.Reader, *poll.Queue, func() error) source { return nil }
func newRawSink(io.Writer, *poll.Queue, func() error) sink     { return nil }

// neverWaits reports whether reading and writing f waits for nobody: a regular file, or the null
// device.
func neverWaits(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && (info.Mode().IsRegular() || isNull(info))
}

// isTerminal takes every character device for a terminal but the null device, the only other that
// standard streams are given in practice.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&fs.ModeCharDevice != 0 && !isNull(info)
}

func isNull(info fs.FileInfo) bool {
	null, err := os.Stat(os.DevNull)
	return err == nil && os.SameFile(null, info)
}
