package netmem

import (
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// TestBubble: on real time in a bubble of testing/synctest, latency passes exactly and at once.
func TestBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(nil, WithLink(Link{Latency: time.Hour}))
		l, err := n.Listen("server:80", 1)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		go func() {
			c, err := l.Net().Accept()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.Copy(c, struct{ io.Reader }{c})
			_ = c.Close()
		}()
		c, err := n.Dial(t.Context(), "server:80")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "hello")
		_ = c.CloseWrite()
		if got, err := io.ReadAll(c); string(got) != "hello" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		if d := time.Since(start); d != 4*time.Hour {
			t.Errorf("connecting, sending and the answer took %v", d)
		}
		_, _ = c.Close(), l.Close()
		time.Sleep(time.Hour) // the other end is told
	})
}
