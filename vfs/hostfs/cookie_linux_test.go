package hostfs

import (
	"slices"
	"testing"
)

func TestCookies(t *testing.T) {
	var table cookieTable
	offs := []int64{1, 5, 1<<29 - 1, 1 << 29, 1<<31 + 1, 1<<62 - 1, 1 << 62, 1<<63 - 1}
	stray := []int64{0, -1, -1 << 63, 1<<29 + 7, 1<<62 + 7}
	var cookies []uint64
	for _, off := range append(slices.Clone(offs), stray...) {
		c := table.cookie(off)
		if c == 0 || c >= 1<<30 { // a guest's are twice as large, and wasi-libc keeps 31 bits of them
			t.Errorf("position %#x: cookie %#x", off, c)
		}
		cookies = append(cookies, c)
	}
	for i, off := range append(slices.Clone(offs), stray...) {
		if c := table.cookie(off); c != cookies[i] {
			t.Errorf("position %#x: cookie %#x, then %#x", off, cookies[i], c)
		}
		if got, ok := table.offset(cookies[i]); got != off || !ok {
			t.Errorf("cookie %#x: position %#x %v, want %#x", cookies[i], got, ok, off)
		}
	}
	if off, ok := table.offset(0); off != 0 || !ok {
		t.Error("0 is not the start")
	}
	for _, c := range []uint64{cookieFar + 1000, 1 << 30, 1 << 62, 1<<64 - 1} {
		if _, ok := table.offset(c); ok {
			t.Errorf("cookie %#x is taken", c)
		}
	}
	// A guest that makes ever new positions fills no more than two generations.
	first := cookies[3]
	for i := range int64(3*cookieStray + 10) {
		table.cookie(1<<62 - 2 - i)
		if len(table.cur)+len(table.old) > 3*cookieStray {
			t.Fatalf("%d + %d places", len(table.cur), len(table.old))
		}
	}
	if _, ok := table.offset(first); ok {
		t.Error("a cookie of a generation long gone is taken")
	}
}

func FuzzCookieOffset(f *testing.F) {
	f.Add(uint64(0), int64(1<<62))
	f.Add(uint64(cookieFar|3), int64(-5))
	f.Fuzz(func(t *testing.T, cookie uint64, off int64) {
		var table cookieTable
		for i := range int64(20) {
			c := table.cookie(off + i*1<<58)
			if got, ok := table.offset(c); got != off+i*1<<58 || !ok || c == 0 || c >= 1<<30 {
				t.Fatalf("cookie %#x position %#x", c, got)
			}
		}
		table.offset(cookie)
	})
}
