// Package levels has maps that forks of a file system share.
package levels

import (
	"iter"
	"maps"
)

// Map is a map that never changes: [Map.With] returns another one and costs what is added, at most
// a logarithmic number of times. Copying a Map is copying the slice. The zero value is empty. A key
// with the zero value stands for one that was taken out.
//
// A later level is right where several have a key. Each is more than twice as large as the next,
// which keeps them few.
type Map[K, V comparable] []map[K]V

// Get returns the value of a key, and whether a level has the key.
func (m Map[K, V]) Get(key K) (v V, known bool) {
	for i := len(m) - 1; i >= 0; i-- {
		if v, known = m[i][key]; known {
			return v, true
		}
	}
	return v, false
}

// With returns the Map with what level has in place of what m has. It takes level over.
func (m Map[K, V]) With(level map[K]V) Map[K, V] {
	if len(level) == 0 {
		return m
	}
	below := m
	for len(below) > 0 && len(below[len(below)-1]) <= 2*len(level) {
		merged := maps.Clone(below[len(below)-1])
		maps.Copy(merged, level)
		below, level = below[:len(below)-1], merged
	}
	if len(below) == 0 {
		var none V
		maps.DeleteFunc(level, func(_ K, v V) bool { return v == none })
	}
	return append(below[:len(below):len(below)], level)
}

// All returns the keys that have a value, in any order.
func (m Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for i, level := range m {
			for key, v := range level {
				var none V
				if _, later := m[i+1:].Get(key); !later && v != none && !yield(key, v) {
					return
				}
			}
		}
	}
}
