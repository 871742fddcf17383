// Replay shows what recordings are for. It runs a job again and again, each time with a recording,
// until a run fails. Then it repeats the failure from the recording alone, as often as one likes,
// and shows where the run began to differ from a good one.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/replay"
)

// guest is guest/guest.c, compiled. It fails if a random byte is above the number in /limit.
//
//go:embed guest/guest.wasm
var guest []byte

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) error {
	good, bad, err := untilFailure(ctx)
	if err != nil {
		return err
	}
	// The replay needs neither the file nor the random numbers: the recording has both.
	fmt.Fprintf(out, "a recording of %d bytes repeats the failure:\n", len(bad))
	result, err := replay.Run(ctx, guest, bytes.NewReader(bad), virt.WithStdout(out))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%v\n", result)

	divergence, err := replay.Compare(bytes.NewReader(good), bytes.NewReader(bad), 2)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "a good run and this one:\n%v\n", divergence)
	return nil
}

// untilFailure runs the job until both a run that succeeds and one that fails are recorded.
func untilFailure(ctx context.Context) (good, bad []byte, err error) {
	for good == nil || bad == nil {
		files, err := memfs.FromMap(map[string]string{"limit": "200"})
		if err != nil {
			return nil, nil, err
		}
		var recording bytes.Buffer
		result, err := virt.Run(ctx, guest, virt.WithMount("/", files), virt.WithRecording(&recording))
		switch {
		case err != nil:
			return nil, nil, err
		case result.Success():
			good = recording.Bytes()
		default:
			bad = recording.Bytes()
		}
	}
	return good, bad, nil
}
