package virt_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/vfs/pipe"
	"github.com/wasivirt/wasivirt/virt"
)

// TestHour has guests sleep an hour in many sleeps. It prints how long that takes.
func TestHour(t *testing.T) {
	tests := []struct {
		name string
		wasm func(t *testing.T) []byte
		args []string
		want string
	}{
		{"Go, 100 sleeps in each of 10 goroutines", func(t *testing.T) []byte { return goGuest(t, "tools") }, []string{"sleep"},
			"[" + strings.Repeat("1h0m0s ", 9) + "1h0m0s]\n"},
		{"C, 500 nanosleep and 500 clock_nanosleep", func(t *testing.T) []byte { return toolchainGuest(t, "process-c") }, []string{"hour"},
			"3600 s 0 ns\n"},
		{"Rust, 1000 sleeps", func(t *testing.T) []byte { return toolchainGuest(t, "hour-rust") }, nil, "3600s\n"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			wasm := tc.wasm(t)
			k := clock.NewVirtual(clock.WithAutoAdvance())
			host := newHost(t, shared, virt.WithClock(k))
			r := start(t, host, compiled(t, host, wasm), virt.WithArgs(tc.args...))
			began := time.Now()
			if result := <-r.result; !result.Success() {
				t.Errorf("%v\n%s", result, r.stderr.String())
			}
			t.Logf("an hour took %v", time.Since(began))
			if diff := cmp.Diff(tc.want, r.stdout.String()); diff != "" {
				t.Errorf("printed (-want +got):\n%s", diff)
			}
			if k.Elapsed() != time.Hour {
				t.Errorf("the clock moved by %v", k.Elapsed())
			}
		})
	}
}

// TestPollOfClockAndStdin has a guest wait for half a second or a line, whichever comes first.
func TestPollOfClockAndStdin(t *testing.T) {
	k := clock.NewVirtual(clock.WithAutoAdvance())
	host := newHost(t, shared, virt.WithClock(k))
	stdin, typing := pipe.New(0)
	terminal := pipe.NewHost(context.Background(), typing, k)
	k.Hold()
	k.AfterFunc(k.Monotonic()+int64(1700*time.Millisecond), func() {
		_, err := terminal.Write([]byte("typed\n"))
		if err != nil {
			t.Error(err)
		}
		terminal.Close()
	})
	r := start(t, host, compiled(t, host, goGuest(t, "tools")), virt.WithArgs("tick"), virt.WithStream(0, stdin))
	k.BlockUntil(2) // the writer's and the guest's
	k.Release()
	if result := <-r.result; !result.Success() {
		t.Errorf("%v", result)
	}
	if diff := cmp.Diff("500ms .\n1s .\n1.5s .\n1.7s typed\n", r.stdout.String()); diff != "" {
		t.Errorf("printed (-want +got):\n%s", diff)
	}
	if want := 1700 * time.Millisecond; k.Elapsed() != want {
		t.Errorf("the clock moved by %v, want %v", k.Elapsed(), want)
	}
}
