package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrNotFound says that the fleet does not have an object, a job or a result.
var ErrNotFound = errors.New("not found")

// MaxObject bounds an object, in bytes: whoever asks for one holds all of it.
const MaxObject = 2 << 30

// Put stores bytes, at most [MaxObject], and returns their hash. What is there already is not sent
// again. An object that was written by half is not visible: Put writes it again.
func (c *Client) Put(ctx context.Context, b []byte) (hash string, err error) {
	if int64(len(b)) > MaxObject {
		return "", fmt.Errorf("store %d bytes: an object has at most %d", len(b), MaxObject)
	}
	hash = hashOf(b)
	err = again(ctx, func(ctx context.Context) error {
		if _, err := c.objects.GetInfo(ctx, hash); !errors.Is(err, jetstream.ErrObjectNotFound) {
			return err
		}
		_, err := c.objects.Put(ctx, jetstream.ObjectMeta{Name: hash}, bytes.NewReader(b))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("store %d bytes: %w", len(b), err)
	}
	return hash, nil
}

// Get returns the bytes that have the hash.
//
// Errors: [ErrNotFound] if nobody stored them; more than [MaxObject] bytes; others than the hash
// says.
func (c *Client) Get(ctx context.Context, hash string) (b []byte, err error) {
	if !isHash(hash) {
		return nil, fmt.Errorf("object %q: %w: want the 64 hexadecimal digits that Put returned", hash, ErrNotFound)
	}
	err = again(ctx, func(ctx context.Context) error {
		r, err := c.objects.Get(ctx, hash)
		if err != nil {
			return err
		}
		defer r.Close()
		if b, err = io.ReadAll(io.LimitReader(r, c.maxObject+1)); err == nil && int64(len(b)) > c.maxObject {
			err = fmt.Errorf("it has more than %d bytes", c.maxObject)
		}
		return err
	})
	switch {
	case errors.Is(err, jetstream.ErrObjectNotFound):
		return nil, fmt.Errorf("object %s: %w: store it with Put", hash, ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("object %s: %w", hash, err)
	case hashOf(b) != hash:
		return nil, fmt.Errorf("object %s: its content has another hash: it was changed in the store", hash)
	}
	return b, nil
}

// drop removes objects that nobody asks for any more.
func (c *Client) drop(ctx context.Context, hash string) error {
	err := again(ctx, func(ctx context.Context) error { return c.objects.Delete(ctx, hash) })
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return nil
	}
	return err
}
