package sched

import (
	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/poll"
)

// waitTable is what a scheduler knows of all its threads: who exists, and who waits in such a way
// that only other threads can help. Its scheduler's lock guards it and the tally of each group.
type waitTable struct {
	threads threadList
	stuck   int // threads that wait for other threads, without a deadline
}

func (c *waitTable) start(t *Thread) {
	c.threads.add(t, inSched)
	t.group.tally.alive++
	if t.main {
		t.group.tally.mains++
	}
}

func (c *waitTable) end(t *Thread) {
	c.threads.remove(t, inSched)
	t.group.tally.alive--
	if t.main {
		t.group.tally.mains--
	}
}

func (c *waitTable) block(t *Thread, w *poll.Wait) {
	t.stuck = poll.ByAnyone
	if !w.Timed() {
		t.stuck = w.By
	}
	c.count(t, 1)
}

func (c *waitTable) ready(t *Thread) {
	c.count(t, -1)
	t.stuck = poll.ByAnyone
}

func (c *waitTable) count(t *Thread, by int) {
	if t.stuck != poll.ByAnyone {
		c.stuck += by
	}
	if t.stuck == poll.ByGroup {
		t.group.tally.stuck += by
	}
}

// deadlocked returns the threads that nothing can wake any more: those of t's group, or all; nil
// if there are none. t has blocked or ended, or is nil.
func (c *waitTable) deadlocked(t *Thread) []*Thread {
	if t != nil {
		if t.group.deadlocked() {
			return c.list(func(o *Thread) bool { return o.group == t.group })
		}
	} else if dead := c.list(func(t *Thread) bool { return t.group.deadlocked() }); dead != nil {
		return dead
	}
	if c.threads.len == 0 || c.stuck != c.threads.len {
		return nil
	}
	for t := c.threads.head; t != nil; t = t.inSched.next {
		if !t.group.closed() || !quiet(t.group.clock) {
			return nil
		}
	}
	return c.list(func(*Thread) bool { return true })
}

func (c *waitTable) list(in func(*Thread) bool) []*Thread {
	var list []*Thread
	for t := c.threads.head; t != nil; t = t.inSched.next {
		if in(t) {
			list = append(list, t)
		}
	}
	return list
}

// deadlocked reports whether all threads of the group wait for others of the group.
func (g *Group) deadlocked() bool {
	return g.tally.alive > 0 && g.tally.stuck == g.tally.alive && g.closed()
}

// closed reports whether no host code can help the group's threads: none has said that it might,
// and the host is inside, so that it will not call another export.
func (g *Group) closed() bool { return g.external.Load() == 0 && g.tally.mains > 0 }

// quiet reports whether nothing is bound to happen on c: no timer is set and nobody holds it. Of a
// clock that cannot tell it is taken for granted.
func quiet(c clock.Clock) bool {
	v, ok := clock.As[interface {
		Pending() int
		Holds() int
	}](c)
	return !ok || v.Pending() == 0 && v.Holds() == 0
}

// endDeadlocked ends the groups of threads. It is called without locks.
func endDeadlocked(threads []*Thread) {
	err := &DeadlockError{}
	var groups []*Group
	seen := make(map[*Group]bool)
	for _, t := range threads {
		err.Threads = append(err.Threads, t.Info())
		if !seen[t.group] {
			seen[t.group] = true
			groups = append(groups, t.group)
		}
	}
	for _, g := range groups {
		g.End(err)
	}
}
