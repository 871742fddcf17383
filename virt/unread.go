package virt

import (
	"sync"

	"github.com/wasivirt/wasivirt/vfs/stdio"
)

// keptBytes is how much of the beginning and of the end of output is kept.
const keptBytes = 1 << 10

// keptOutput is a standard stream that nobody reads. It keeps the beginning and the end of what is
// written, for the Result.
type keptOutput struct {
	stdio.Discard
	mu          sync.Mutex
	first, last []byte
	lost        bool // bytes between first and last
}

func (k *keptOutput) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := min(len(p), keptBytes-len(k.first))
	k.first = append(k.first, p[:n]...)
	rest := p[n:]
	if over := len(rest) - keptBytes; over > 0 {
		rest, k.lost = rest[over:], true
	}
	if over := len(k.last) + len(rest) - keptBytes; over > 0 {
		k.last = k.last[:copy(k.last, k.last[over:])]
		k.lost = true
	}
	k.last = append(k.last, rest...)
	return len(p), nil
}

func (k *keptOutput) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.lost {
		return string(k.first) + "\n[...]\n" + string(k.last)
	}
	return string(k.first) + string(k.last)
}

// clear forgets what was written.
func (k *keptOutput) clear() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.first, k.last, k.lost = nil, nil, false
}
