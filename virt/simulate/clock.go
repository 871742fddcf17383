package simulate

import (
	"sync/atomic"
	"time"

	"github.com/wasivirt/wasivirt/clock"
)

// nodeClock is the world's clock as a node sees it: its realtime may be wrong.
type nodeClock struct {
	*clock.Virtual
	off atomic.Int64
}

// Realtime implements [clock.Clock].
func (c *nodeClock) Realtime() int64 { return c.Virtual.Realtime() + c.off.Load() }

// Unwrap returns the world's clock.
func (c *nodeClock) Unwrap() clock.Clock { return c.Virtual }

// jump moves the node's realtime.
func (c *nodeClock) jump(d time.Duration) { c.off.Add(int64(d)) }
