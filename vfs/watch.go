package vfs

import (
	"path"
	"strconv"
	"strings"
)

// WatchOp is the kind of a change.
type WatchOp uint8

const (
	// Created: a name was made for a file, a directory or a link.
	Created WatchOp = iota
	// Removed: a name was removed.
	Removed
	// Renamed: a name was changed to another one.
	Renamed
	// Modified: content was written or cut, once for each call, or for each 16 MiB that one writes.
	Modified
	// Closed: an open file description through which something was written has been closed.
	Closed
)

var watchOpNames = [...]string{"created", "removed", "renamed", "modified", "closed"}

// String returns what happened, as one word.
func (op WatchOp) String() string {
	if int(op) < len(watchOpNames) {
		return watchOpNames[op]
	}
	return "WatchOp(" + strconv.Itoa(int(op)) + ")"
}

// Event describes one change that a guest or host code made.
type Event struct {
	Op WatchOp
	// Path is the path that the guest named, joined to the path of the directory that it was
	// relative to. Symbolic links in it are not resolved. A directory that was renamed while open
	// keeps its old name.
	Path string
	// NewPath is the new path of a renamed file.
	NewPath string
}

type watcher struct{ notify func(Event) }

// Watch calls notify for every change that a guest, or host code through a [Root], makes in this
// Namespace, until stop is called. The thread that made the change calls notify right after it,
// with no lock held. Changes by several threads may be reported in another order than they were
// made.
func (ns *Namespace) Watch(notify func(Event)) (stop func()) {
	w := &watcher{notify}
	ns.mu.Lock()
	defer ns.mu.Unlock()
	ns.setWatchers(w, true)
	return func() {
		ns.mu.Lock()
		defer ns.mu.Unlock()
		ns.setWatchers(w, false)
	}
}

func (ns *Namespace) setWatchers(w *watcher, on bool) {
	var next []*watcher
	if old := ns.watchers.Load(); old != nil {
		for _, o := range *old {
			if o != w {
				next = append(next, o)
			}
		}
	}
	if on {
		next = append(next, w)
	}
	if next == nil {
		ns.watchers.Store(nil)
		return
	}
	ns.watchers.Store(&next)
}

// watched reports whether somebody wants to know.
func (m *mount) watched() bool { return m.ns != nil && m.ns.watchers.Load() != nil }

func (m *mount) tell(e Event) {
	if list := m.ns.watchers.Load(); list != nil {
		for _, w := range *list {
			w.notify(e)
		}
	}
}

// happened tells of something done to what name stands for, seen from the directory base.
func (m *mount) happened(op WatchOp, base *OpenFile, name string) {
	if m.watched() {
		m.tell(Event{Op: op, Path: joined(base, name)})
	}
}

// joined returns the path of name below base. It is a copy: name may lie in a buffer that the next
// call overwrites.
func joined(base *OpenFile, name string) string {
	return strings.Clone(path.Join(base.Path(), name))
}
