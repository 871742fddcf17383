package mapping

import (
	"bytes"
	"fmt"
	"sync/atomic"
)

// PageSize is the unit in which images leave out zeros, in bytes. The machine's pages may be
// larger.
const PageSize = 1 << 12

// Image is the contents of a memory at one moment. It never changes; any number of mappings show
// it.
type Image struct {
	size   uint64
	store  store
	closed atomic.Bool
}

// Size is how many bytes the image holds.
func (img *Image) Size() uint64 { return img.size }

var zeros [PageSize]byte

// NewImage returns an image of mem, which is copied: the parts that hold something else than zeros.
// Its size must be a multiple of 64 KiB.
func NewImage(mem []byte) (*Image, error) {
	b, err := NewBuilder(uint64(len(mem)))
	if err != nil {
		return nil, err
	}
	for at, run := range Runs(mem) {
		if err := b.Write(run, at); err != nil {
			b.Discard()
			return nil, err
		}
	}
	return b.Image()
}

// Runs yields the parts of mem that hold something else than zeros, with their offsets: whole pages
// of [PageSize], neighbours together.
func Runs(mem []byte) func(yield func(uint64, []byte) bool) {
	return func(yield func(uint64, []byte) bool) {
		for at := 0; at < len(mem); {
			if isZero(mem[at:min(at+PageSize, len(mem))]) {
				at += PageSize
				continue
			}
			end := at + PageSize
			for end < len(mem) && !isZero(mem[end:min(end+PageSize, len(mem))]) {
				end += PageSize
			}
			end = min(end, len(mem))
			if !yield(uint64(at), mem[at:end]) {
				return
			}
			at = end
		}
	}
}

func isZero(page []byte) bool { return bytes.Equal(page, zeros[:len(page)]) }

// Builder makes an image piece by piece.
type Builder struct {
	size  uint64
	store store
	small []byte // pieces that are not in the store yet
	at    uint64 // where they begin
	top   uint64 // the end of all pieces
}

// The data of a module comes in thousands of pieces of some bytes, in ascending order. Those of
// less than largePiece bytes are stored together, up to maxTogether bytes, with the zeros between
// two if these are maxGap bytes at most.
const (
	largePiece  = 1 << 14
	maxTogether = 1 << 16
	maxGap      = 1 << 10
)

// NewBuilder begins an image of size bytes, a multiple of 64 KiB, all zeros.
func NewBuilder(size uint64) (*Builder, error) {
	if size%(1<<16) != 0 || size > 1<<32 {
		return nil, fmt.Errorf("an image of %d bytes: want a multiple of 64 KiB, 4 GiB at most", size)
	}
	b := &Builder{size: size}
	if err := b.store.create(size); err != nil {
		return nil, fmt.Errorf("an image of %d bytes: %w", size, err)
	}
	return b, nil
}

// Write puts p at an offset of the image.
func (b *Builder) Write(p []byte, at uint64) error {
	if at > b.size || uint64(len(p)) > b.size-at {
		return fmt.Errorf("write %d bytes at %d of an image of %d", len(p), at, b.size)
	}
	end := b.at + uint64(len(b.small))
	// Where pieces are in order, nothing lies behind the last.
	together := end == b.top && at >= end && at-end <= maxGap && at-b.at+uint64(len(p)) <= maxTogether
	if !together || len(p) >= largePiece {
		if err := b.flush(); err != nil {
			return err
		}
		b.at, end = at, at
	}
	b.top = max(b.top, at+uint64(len(p)))
	if len(p) >= largePiece {
		b.at += uint64(len(p))
		return b.put(p, at)
	}
	b.small = append(append(b.small, zeros[:at-end]...), p...)
	return nil
}

// flush stores what is not in the store yet.
func (b *Builder) flush() error {
	if len(b.small) == 0 {
		return nil
	}
	err := b.put(b.small, b.at)
	b.small = b.small[:0]
	return err
}

func (b *Builder) put(p []byte, at uint64) error {
	if err := b.store.write(p, at); err != nil {
		return fmt.Errorf("write an image: %w", err)
	}
	return nil
}

// Image ends the building and returns the image.
func (b *Builder) Image() (*Image, error) {
	err := b.flush()
	if err == nil {
		err = b.store.seal()
	}
	if err != nil {
		b.Discard()
		return nil, fmt.Errorf("an image of %d bytes: %w", b.size, err)
	}
	return &Image{size: b.size, store: b.store}, nil
}

// Discard gives back what an image that is not wanted took.
func (b *Builder) Discard() { _ = b.store.close() }

// ReadAt is as in [io.ReaderAt].
func (img *Image) ReadAt(p []byte, at int64) (int, error) { return img.store.read(p, at) }

// Close gives back what the image holds. Mappings that show it go on doing so; no other can.
func (img *Image) Close() error {
	img.closed.Store(true)
	return img.store.close()
}

// Closed reports whether Close was called. A nil image has nothing to close.
func (img *Image) Closed() bool { return img != nil && img.closed.Load() }
