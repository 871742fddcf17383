package stdio

import (
	"bytes"
	"context"
	"io"
	"sync"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Buffer is a stream that keeps what is written to it. The host can look at it while the guest runs
// and afterwards. The zero value is ready to use. All methods may be called from any goroutine.
type Buffer struct {
	// Cap is the number of bytes kept, from the beginning; 0 is no limit.
	Cap int
	// Drop makes writes beyond Cap succeed; their bytes are dropped. Otherwise they return ENOSPC.
	Drop bool

	mu      sync.Mutex
	data    []byte
	dropped int64
	changed chan struct{} // closed at the next write; nil when nobody waits
	poll.Always
}

// Write keeps what fits and, with Drop, drops the rest. Errors: ENOSPC when full.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	room := len(p)
	if b.Cap > 0 {
		room = min(room, max(b.Cap-len(b.data), 0))
	}
	if room == 0 && len(p) > 0 && !b.Drop {
		return 0, wasip1.ENOSPC
	}
	b.data = append(b.data, p[:room]...)
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
	if b.Drop {
		b.dropped += int64(len(p) - room)
		room = len(p)
	}
	return room, nil
}

// Read returns io.EOF: guests do not read a Buffer.
func (b *Buffer) Read([]byte) (int, error) { return 0, io.EOF }

// Close does nothing; the content stays.
func (b *Buffer) Close() error { return nil }

// Bytes returns a copy of the content.
func (b *Buffer) Bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.data)
}

// String returns the content.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.data)
}

// Len returns how many bytes are kept.
func (b *Buffer) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.data)
}

// Dropped returns the number of bytes that were dropped.
func (b *Buffer) Dropped() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dropped
}

// Take returns the content and leaves the buffer empty.
func (b *Buffer) Take() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	data := b.data
	b.data = nil
	return data
}

// WaitFor returns when the content contains text. If the context ends first, it returns its cause.
// Each write costs one search of the content.
func (b *Buffer) WaitFor(ctx context.Context, text string) error {
	return b.WaitFunc(ctx, func(content []byte) bool { return bytes.Contains(content, []byte(text)) })
}

// WaitFunc returns when found returns true. If the context ends first, it returns its cause. found
// is called with the buffer locked, must not call its methods, and must not keep content.
func (b *Buffer) WaitFunc(ctx context.Context, found func(content []byte) bool) error {
	for {
		b.mu.Lock()
		if found(b.data) {
			b.mu.Unlock()
			return nil
		}
		if b.changed == nil {
			b.changed = make(chan struct{})
		}
		changed := b.changed
		b.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (b *Buffer) waitless() bool { return true }
