package clock

import "sync"

// timers is a queue of pending timers by deadline, then by age. Its owner's lock guards it.
type timers struct {
	heap    []*timer
	age     uint64
	emptied func() // called when the last timer was stopped, if not nil
}

// timer is a Timer in a timers queue.
type timer struct {
	mu    *sync.Mutex // the owner's
	queue *timers
	at    int64
	age   uint64
	f     func()
	index int // place in the heap, -1 when it is not in it
}

func (t *timer) Stop() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.index < 0 {
		return false
	}
	t.queue.remove(t)
	if len(t.queue.heap) == 0 && t.queue.emptied != nil {
		t.queue.emptied()
	}
	return true
}

// add puts t, whose deadline and function are set, into the queue.
func (q *timers) add(t *timer) {
	q.age++
	t.queue, t.age, t.index = q, q.age, len(q.heap)
	q.heap = append(q.heap, t)
	q.up(t.index)
}

// first returns the timer that fires next, nil if there is none.
func (q *timers) first() *timer {
	if len(q.heap) == 0 {
		return nil
	}
	return q.heap[0]
}

func (q *timers) remove(t *timer) {
	i, last := t.index, len(q.heap)-1
	if i != last {
		q.swap(i, last)
	}
	q.heap[last] = nil
	q.heap = q.heap[:last]
	t.index = -1
	if i != last {
		q.down(i)
		q.up(i)
	}
}

func (q *timers) less(i, j int) bool {
	a, b := q.heap[i], q.heap[j]
	return a.at < b.at || a.at == b.at && a.age < b.age
}

func (q *timers) swap(i, j int) {
	q.heap[i], q.heap[j] = q.heap[j], q.heap[i]
	q.heap[i].index, q.heap[j].index = i, j
}

func (q *timers) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !q.less(i, parent) {
			return
		}
		q.swap(i, parent)
		i = parent
	}
}

func (q *timers) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(q.heap) {
			return
		}
		if r := child + 1; r < len(q.heap) && q.less(r, child) {
			child = r
		}
		if !q.less(child, i) {
			return
		}
		q.swap(i, child)
		i = child
	}
}
