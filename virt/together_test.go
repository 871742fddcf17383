package virt_test

import (
	"bytes"
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/netmem"
	"github.com/wasivirt/wasivirt/vfs/pipe"
	"github.com/wasivirt/wasivirt/virt"
)

// together runs three guests with two threads each, of which the first writes to the second through
// a pipe, and the second to the third over a network. All append to one file. Beside them runs a
// fourth, which has nothing to do with them.
func together(t *testing.T, first *virt.Host, relay, other *virt.Module, seed uint64) (hashes [4][32]byte, output, log string) {
	t.Helper()
	host, err := first.Sibling(virt.Deterministic(seed), virt.WithHash(), virt.WithMaxThreads(2))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := host.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	files := memfs.New()
	network := netmem.New(host.Clock(), netmem.WithLink(netmem.Link{Latency: 3 * time.Millisecond}))
	listener, err := network.Listen("there:1", 1)
	if err != nil {
		t.Fatal(err)
	}
	out, err := network.From("here").Connect("there:1")
	if err != nil {
		t.Fatal(err)
	}
	in, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	r, w := pipe.New(16)
	var text bytes.Buffer
	var guests []*virt.Guest
	for i, opts := range [][]virt.GuestOption{
		{virt.WithStream(0, r), virt.WithStream(1, out)},
		{virt.WithStdin(strings.NewReader(strings.Repeat("0123456789", 20))), virt.WithStream(1, w)},
		{virt.WithStream(0, in), virt.WithStdout(&text)},
		nil,
	} {
		m := relay
		if i == 3 {
			m, opts = other, nil
		}
		g, err := host.Instantiate(t.Context(), m, append(opts, virt.WithMount("/", files))...)
		if err != nil {
			t.Fatal(err)
		}
		guests = append(guests, g)
	}
	results, err := host.RunAll(t.Context(), guests...)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if r.Outcome != virt.Exited || i < 3 && r.ExitCode != 0 {
			t.Fatalf("guest %d: %v", i, r)
		}
		hashes[i] = r.Hash
		if err := guests[i].Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
	content, err := files.ReadFile("log")
	if err != nil {
		t.Fatal(err)
	}
	return hashes, text.String(), string(content)
}

func TestGuestsTogetherRepeat(t *testing.T) {
	type run struct {
		hashes      [4][32]byte
		output, log string
	}
	seeds := uint64(sized(20, 200))
	runs := make([]run, seeds)
	different := map[[32]byte]bool{}
	for i, engine := range []virt.Option{virt.WithAccessSwitches(), virt.WithInterpreter()} {
		first := newHost(t, engine, virt.WithAccessSwitches(), virt.Deterministic(0))
		relay, other := compiled(t, first, bareGuest(t, "relay")), compiled(t, first, bareGuest(t, "race_counter"))
		for _, procs := range []int{1, 2} {
			before := runtime.GOMAXPROCS(procs)
			defer runtime.GOMAXPROCS(before)
			for seed := range seeds {
				var got run
				got.hashes, got.output, got.log = together(t, first, relay, other, seed)
				if i == 0 && procs == 1 {
					runs[seed] = got
					for _, h := range got.hashes {
						different[h] = true
					}
				} else if got != runs[seed] {
					t.Fatalf("seed %d, engine %d, GOMAXPROCS=%d:\n%s\n%s\nfirst\n%s\n%s", seed, i, procs, got.output, got.log, runs[seed].output, runs[seed].log)
				}
			}
		}
	}
	t.Logf("%d hashes of %d guests", len(different), 4*seeds)
	if uint64(len(different)) < 2*seeds {
		t.Errorf("%d hashes", len(different))
	}
}
