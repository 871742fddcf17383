package devfs

import (
	"io"
	"io/fs"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// deviceKind says what a device does.
type deviceKind uint8

const (
	null   deviceKind = iota // reads nothing, takes everything
	zero                     // reads zeros, takes everything
	full                     // reads zeros, has no room: ENOSPC
	random                   // reads randomness, takes everything
)

// device is a node of one of the kinds.
type device struct {
	header
	kind deviceKind
}

// Type implements [vfs.Node].
func (d *device) Type() wasip1.Filetype { return wasip1.FiletypeCharacterDevice }

// Attr implements [vfs.Node].
func (d *device) Attr() (vfs.Attr, error) {
	return d.attr(wasip1.FiletypeCharacterDevice, fs.ModeDevice|fs.ModeCharDevice|0o666), nil
}

// SetAttr implements [vfs.Node]: times of a device are nobody's concern, as those of /dev/null are
// not for "touch".
func (d *device) SetAttr(set vfs.SetAttr) error {
	if set.Mask&vfs.SetSize != 0 {
		return wasip1.EINVAL
	}
	return nil
}

// OpenStream implements [vfs.StreamNode].
func (d *device) OpenStream(vfs.OpenMode) (vfs.Stream, error) { return deviceStream{device: d}, nil }

// deviceStream is an open device. Devices are ready at all times.
type deviceStream struct {
	poll.Always
	device *device
}

// Read implements [vfs.Stream].
func (s deviceStream) Read(p []byte) (int, error) {
	switch s.device.kind {
	case null:
		return 0, io.EOF
	case random:
		if err := s.device.fs.random(p); err != nil {
			return 0, err
		}
	default:
		clear(p)
	}
	return len(p), nil
}

// Write implements [vfs.Stream].
func (s deviceStream) Write(p []byte) (int, error) {
	if s.device.kind == full && len(p) > 0 {
		return 0, wasip1.ENOSPC
	}
	return len(p), nil
}

// Close implements [vfs.Stream].
func (s deviceStream) Close() error { return nil }

// streamNode is a stream of the embedder's that can be opened by a name.
type streamNode struct {
	header
	stream   vfs.Stream
	standard bool // it is the guest's stream number
	number   vfs.StandardStream
}

// Type implements [vfs.Node]: it is that of the stream.
func (n *streamNode) Type() wasip1.Filetype {
	if t, ok := n.stream.(vfs.Typed); ok {
		return t.Type()
	}
	return wasip1.FiletypeUnknown
}

// Attr implements [vfs.Node].
func (n *streamNode) Attr() (vfs.Attr, error) { return n.attr(n.Type(), 0o666), nil }

// SetAttr implements [vfs.Node].
func (n *streamNode) SetAttr(set vfs.SetAttr) error {
	if set.Mask&vfs.SetSize != 0 {
		return wasip1.EINVAL
	}
	return nil
}

// OpenStream implements [vfs.StreamNode].
func (n *streamNode) OpenStream(vfs.OpenMode) (vfs.Stream, error) {
	return sharedStream{n.stream, n.Type()}, nil
}

// sharedStream is a stream that outlives those who open it.
type sharedStream struct {
	vfs.Stream
	kind wasip1.Filetype
}

// Type implements [vfs.Typed].
func (s sharedStream) Type() wasip1.Filetype { return s.kind }

// UsesMachine implements [vfs.MachineUser].
func (s sharedStream) UsesMachine() bool { return vfs.UsesMachine(s.Stream) }

// Close leaves the stream open.
func (sharedStream) Close() error { return nil }

// opener makes a stream for each opening.
type opener struct {
	header
	kind wasip1.Filetype
	open func(vfs.OpenMode) (vfs.Stream, error)
}

// Type implements [vfs.Node].
func (n *opener) Type() wasip1.Filetype { return n.kind }

// Attr implements [vfs.Node].
func (n *opener) Attr() (vfs.Attr, error) { return n.attr(n.kind, 0o666), nil }

// SetAttr implements [vfs.Node].
func (n *opener) SetAttr(set vfs.SetAttr) error {
	if set.Mask&vfs.SetSize != 0 {
		return wasip1.EINVAL
	}
	return nil
}

// OpenStream implements [vfs.StreamNode].
func (n *opener) OpenStream(mode vfs.OpenMode) (vfs.Stream, error) { return n.open(mode) }
