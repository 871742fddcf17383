package virt

import (
	"fmt"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// preopened is one WithPreopened.
type preopened struct {
	stream vfs.Stream
	flags  *wasip1.Fdflags // nil where the embedder does not say
}

// WithPreopened gives the guest a stream, such as a listener or a connection, as the next
// descriptor after those of its mounts. It is closed with the guest's last descriptor for it.
//
// The descriptor has the flags given. Without flags a stream waits. A socket or listener without
// flags adapts to the guest: a guest that asks for the flags, as Go's net.FileListener does, gets
// wasip1.FdNonblock and polls; a guest that accepts or reads at once waits in that call. See
// [vfs.OpenFile.OfferNonblock].
func WithPreopened(s vfs.Stream, flags ...wasip1.Fdflags) GuestOption {
	return guestOption("WithPreopened", func(c *config) error {
		if s == nil {
			return fmt.Errorf("the stream is nil")
		}
		p := preopened{stream: s}
		if len(flags) > 0 {
			var all wasip1.Fdflags
			for _, f := range flags {
				all |= f
			}
			if all&^wasip1.FdflagsAll != 0 {
				return fmt.Errorf("flags %#x: preview1 has no such", uint16(all))
			}
			p.flags = &all
		}
		c.given = append(c.given[:len(c.given):len(c.given)], p)
		return nil
	})
}

// open makes the open file for a guest's descriptor.
func (p preopened) open(name string) *vfs.OpenFile {
	f := vfs.NewStream(name, p.stream, vfs.OpenRead|vfs.OpenWrite)
	switch p.stream.(type) {
	case vfs.Socket, vfs.Listener:
		f.OfferNonblock()
	}
	if p.flags != nil {
		f.SetFlags(*p.flags)
	}
	return f
}
