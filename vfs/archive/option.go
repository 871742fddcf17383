package archive

import (
	"context"
	"math"
)

// Option changes how a tree is read or written.
type Option func(*config)

type config struct {
	ctx        context.Context // nil for none
	maxBytes   int64
	maxEntries int64
	linksOut   bool
	noDevices  bool
}

// unlimited is no limit.
const unlimited = math.MaxInt64

// WithContext ends the work when ctx ends, with the context's cause.
func WithContext(ctx context.Context) Option { return func(c *config) { c.ctx = ctx } }

// ended returns why the work has to end, nil if it does not.
func (c *config) ended() error {
	if c.ctx == nil || c.ctx.Err() == nil {
		return nil
	}
	return context.Cause(c.ctx)
}

// WithMaxBytes refuses what has more than n bytes of content in all, with ENOSPC; 0 is no limit.
// Holes count.
func WithMaxBytes(n int64) Option { return func(c *config) { c.maxBytes = limit(n) } }

// WithMaxEntries refuses what has more than n entries, with ENOSPC; 0 is no limit.
func WithMaxEntries(n int64) Option { return func(c *config) { c.maxEntries = limit(n) } }

// limit is n, or no limit.
func limit(n int64) int64 {
	if n <= 0 {
		return math.MaxInt64
	}
	return n
}

// WithLinksOut allows symbolic links with absolute targets and targets that lead above the root.
// Guests are kept inside all the same; whoever follows such links on a host is not.
func WithLinksOut() Option { return func(c *config) { c.linksOut = true } }

// WithoutDevices leaves out of ToTar and ToDir what is neither a regular file, a directory nor a
// link: the /dev of the default world, say. Without it, such an entry is ENOTSUP.
func WithoutDevices() Option { return func(c *config) { c.noDevices = true } }

func newConfig(maxBytes, maxEntries int64, opts []Option) config {
	c := config{maxBytes: maxBytes, maxEntries: maxEntries}
	for _, opt := range opts {
		opt(&c)
	}
	return c
}
