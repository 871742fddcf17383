package simulate_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/wasivirt/wasivirt/internal/testcache"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/simulate"
)

// world is a small system with a planted bug that takes two or three faults at the right moments,
// and its corrected twin.
type world struct {
	name   string
	nodes  []string
	kinds  []simulate.Kind
	client func(a *simulate.Actor) error
	check  func(w *simulate.World) error
}

var (
	machines = []simulate.Kind{simulate.Crash, simulate.PowerLoss, simulate.Pause, simulate.Jump}
	worlds   = []world{
		{"boots", []string{"a"}, machines, numbers, nil},
		{"journal", []string{"a"}, machines, numbers, nil},
		{"copy", []string{"a", "b"}, append(machines, simulate.Cut, simulate.Slow), arbiter, nil},
		{"commit", []string{"c", "p", "q"}, append(machines, simulate.Cut, simulate.Slow), transactions, agree},
	}
)

// simulation is the world, corrected or not.
func (w world) simulation(t testing.TB, corrected bool) simulate.Simulation {
	t.Helper()
	file := w.name
	if corrected {
		file += "_fixed"
	}
	wasm, err := os.ReadFile(filepath.Join("testdata", "worlds", file+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	s := simulate.Simulation{
		Clients: []simulate.Client{{Name: "client", Run: w.client}},
		Length:  time.Second,
		Nemesis: simulate.Nemesis{Kinds: w.kinds, Longest: 200 * time.Millisecond},
		Check:   w.check,
		Host:    []virt.Option{testcache.Option()},
	}
	for _, name := range w.nodes {
		s.Nodes = append(s.Nodes, simulate.Node{Name: name, Wasm: wasm, Ports: []string{"7"}})
	}
	return s
}

// request sends a line to a node and returns the answer; ok is false if there is none.
func request(a *simulate.Actor, node, format string, args ...any) (answer string, ok bool) {
	c, err := a.Dial(node+":7", 60*time.Millisecond)
	if err != nil {
		return "", false
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, format+"\n", args...); err != nil {
		return "", false
	}
	var line [64]byte
	n, err := c.Read(line[:])
	if err != nil || n == 0 {
		return "", false
	}
	return string(bytes.TrimSpace(line[:n])), true
}

// numbers writes larger and larger numbers to a, and reads them.
func numbers(a *simulate.Actor) error {
	known := 0
	for n := 1; ; n++ {
		if err := a.Sleep(time.Duration(5+a.Rand.IntN(15)) * time.Millisecond); err != nil {
			return err
		}
		line := "r"
		if n%2 == 0 {
			line = fmt.Sprint("w ", n)
		}
		answer, ok := request(a, "a", "%s", line)
		var got int
		if !ok {
			continue
		}
		if _, err := fmt.Sscan(answer, &got); err != nil || got < known {
			return fmt.Errorf("lost: %d is read after %d was acknowledged", got, known)
		}
		known = got
	}
}

// arbiter writes and reads eight numbers of two nodes. When one does not answer it goes to the
// other, if that has everything.
func arbiter(a *simulate.Actor) error {
	leader, other := "a", "b"
	var known [8]int
	behind, failures, warm := false, 0, 0
	for n := 1; ; n++ {
		if err := a.Sleep(time.Duration(5+a.Rand.IntN(15)) * time.Millisecond); err != nil {
			return err
		}
		i, reads := a.Rand.IntN(len(known)), a.Rand.IntN(2) == 0
		if warm > 0 {
			warm--
			i, reads = warm, true
		}
		if behind && n%10 == 0 {
			answer, ok := request(a, leader, "c")
			behind = !ok || answer != "both"
		}
		line := fmt.Sprintf("w %d %d", i, n)
		if reads {
			line = fmt.Sprint("r ", i)
		}
		answer, ok := request(a, leader, "%s", line)
		switch {
		case !ok:
			failures++
			if failures < 2 || behind {
				continue
			}
			if answer, ok := request(a, other, "l"); ok && answer == "ok" {
				a.Log("goes to %s", other)
				leader, other, behind, failures, warm = other, leader, true, 0, len(known)
			}
			continue
		case reads:
			var got int
			if _, err := fmt.Sscan(answer, &got); err != nil || got < known[i] {
				return fmt.Errorf("lost: %s answers %q for number %d after %d was acknowledged", leader, answer, i, known[i])
			}
			known[i] = got
		default:
			known[i] = n
			behind = answer != "both"
		}
		failures = 0
	}
}

// transactions lets c commit one after the other.
func transactions(a *simulate.Actor) error {
	for n := 1; n < 512; n++ {
		if err := a.Sleep(time.Duration(10+a.Rand.IntN(20)) * time.Millisecond); err != nil {
			return err
		}
		request(a, "c", "t %d", n)
	}
	return nil
}

// agree is what p and q owe to each other: no transaction is committed by one and aborted by the
// other.
func agree(w *simulate.World) error {
	var did [2][]byte
	for i, name := range []string{"p", "q"} {
		text, err := w.Disk(name).ReadFile("disk")
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil || len(text) < 4 {
			return errors.Join(err, fmt.Errorf("the disk of %s has %d bytes", name, len(text)))
		}
		_ = binary.LittleEndian.Uint32(text)
		did[i] = text[4:]
	}
	for n := range did[0] {
		if pair := []byte{did[0][n], did[1][n]}; slices.Contains(pair, 'c') && slices.Contains(pair, 'a') {
			return fmt.Errorf("split: p and q end transaction %d as %q", n, pair)
		}
	}
	return nil
}
