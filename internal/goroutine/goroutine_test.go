package goroutine_test

import (
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/wasivirt/wasivirt/internal/goroutine"
)

type owner struct{ name string }

func pointer(o *owner) unsafe.Pointer { return unsafe.Pointer(o) }

func inside(o *owner) bool {
	return goroutine.Inside(func(p uintptr) bool { return p == uintptr(pointer(o)) })
}

func TestInside(t *testing.T) {
	a, b, c := &owner{"a"}, &owner{"b"}, &owner{"c"}
	goroutine.Do(pointer(a), func() {
		goroutine.Do(pointer(b), func() {
			if !inside(a) || !inside(b) {
				t.Error("a goroutine does not know that it runs for a and b")
			}
			if inside(c) {
				t.Error("it runs for c")
			}
			other := make(chan bool)
			go func() { other <- inside(a) }()
			if <-other {
				t.Error("another goroutine, which a started, runs for a")
			}
		})
		if inside(b) {
			t.Error("it still runs for b, which has returned")
		}
	})
	if inside(a) {
		t.Error("it runs for a after the end")
	}
}

// TestInsideOfADeepStack: the runtime leaves out the middle of a deep stack. Then a goroutine is
// taken to be inside.
func TestInsideOfADeepStack(t *testing.T) {
	a := &owner{"a"}
	var descend func(n int, f func())
	descend = func(n int, f func()) {
		if n == 0 {
			f()
			return
		}
		descend(n-1, f)
	}
	descend(100, func() {
		goroutine.Do(pointer(a), func() {
			descend(100, func() {
				if !inside(a) {
					t.Error("a deep call does not know that it runs for a")
				}
			})
		})
	})
}

type silent struct{ begun, end chan struct{} }

func (s *silent) wait() {
	close(s.begun)
	<-s.end
}

func TestOf(t *testing.T) {
	a := &owner{"a"}
	r := &silent{make(chan struct{}), make(chan struct{})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		goroutine.Do(pointer(a), r.wait)
	}()
	<-r.begun
	all := goroutine.Of(pointer(a))
	if len(all) != 1 {
		t.Fatalf("%d goroutines run for a, want 1: %v", len(all), all)
	}
	if got := all[0]; !strings.HasSuffix(got.In, "(*silent).wait") || !strings.HasPrefix(got.Name, "goroutine ") {
		t.Errorf("it is %v, want one in (*silent).wait", got)
	}
	close(r.end)
	<-ended
	if all := goroutine.Of(pointer(a)); len(all) != 0 {
		t.Errorf("after its end: %v", all)
	}
	runtime.KeepAlive(a)
}

func BenchmarkDo(b *testing.B) {
	a := &owner{"a"}
	n := 0
	for b.Loop() {
		goroutine.Do(pointer(a), func() { n++ })
	}
}

func BenchmarkInside(b *testing.B) {
	a := &owner{"a"}
	for b.Loop() {
		inside(a)
	}
}
