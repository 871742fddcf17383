package virt_test

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/wasivirt/wasivirt/vfs/faultfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/wasip1"
)

//go:embed testdata/bare/journal.wasm
var journalGuest []byte

// brokenJournal is the exit status of the journal guest where what it finds is no journal.
const brokenJournal = 255

// count runs the journal guest, which counts on by more, and returns the number that it found, the
// last one that it called safe, and its exit status.
func count(t *testing.T, host *virt.Host, m *virt.Module, disk *faultfs.FS, mode string, more int) (found, safe uint32, exit uint32) {
	t.Helper()
	var stdout bytes.Buffer
	result, err := host.RunModule(t.Context(), m, virt.WithArgs(mode, strings.Repeat("+", more)),
		virt.WithMount("/", disk), virt.WithStdout(&stdout))
	// Where the power is off, closing what the guest left open fails too.
	if result == nil || err != nil && !errors.Is(err, wasip1.EIO) {
		t.Fatal(result, err)
	}
	if result.Outcome != virt.Exited {
		t.Fatal(result)
	}
	out := stdout.Bytes()
	if len(out) >= 4 {
		found, safe = binary.LittleEndian.Uint32(out), binary.LittleEndian.Uint32(out[len(out)-4:])
	}
	return found, safe, result.ExitCode
}

// TestJournalSurvivesPowerLoss cuts the power before each operation of a guest that keeps a
// journal, in turn, and starts it again: what it had synced is there. The same guest without the
// sync is caught.
func TestJournalSurvivesPowerLoss(t *testing.T) {
	losses := sized(200, 1000)
	if testing.Short() {
		losses = 50
	}
	host := newHost(t)
	guest := compiled(t, host, journalGuest)
	// lost runs the guest until the power goes off before its nth operation on the disk, and says
	// whether the next run misses what had been safe.
	lost := func(mode string, nth int) (missing bool) {
		disk, err := faultfs.New(memfs.New(), []faultfs.Rule{{Op: "*", Nth: nth, PowerLoss: true}}, faultfs.WithDurability())
		if err != nil {
			t.Fatal(err)
		}
		_, safe, exit := count(t, host, guest, disk, mode, 1000)
		if wasip1.Errno(exit) != wasip1.EIO {
			t.Fatalf("%s, power off at operation %d: exit %d, want that of EIO", mode, nth, exit)
		}
		disk.RestorePower()
		found, _, exit := count(t, host, guest, disk, mode, 1)
		if exit != 0 && exit != brokenJournal {
			t.Fatalf("%s, after the power was off at operation %d: exit %d", mode, nth, exit)
		}
		return exit == brokenJournal || found < safe
	}
	for nth := range losses {
		if lost("sync", nth+1) {
			t.Fatalf("what was synced is not there after the power was off at operation %d", nth+1)
		}
	}
	caught := 0
	for nth := range losses {
		if lost("hope", nth+1) {
			caught++
		}
	}
	t.Logf("power lost %d times: with the sync nothing was missing, without it something was %d times", losses, caught)
	if caught == 0 {
		t.Error("the guest that does not sync has lost nothing")
	}
}
