package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/wasivirt/wasivirt/virt"
)

// snapshotGuest is the command snapshot: it warms a guest up and writes what it is then to a file,
// for run -from.
func snapshotGuest(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	var s settings
	flags := s.flags()
	flags.Init("snapshot", flags.ErrorHandling())
	out := flags.String("o", "", "`FILE` to write")
	if err := parse(flags, args, stdout); err != nil {
		return exitHost, err
	}
	if flags.NArg() == 0 || *out == "" {
		return exitHost, fmt.Errorf("want: %s", forms["snapshot"].form)
	}
	if s.from != "" || s.record != "" || s.invoke != "" {
		return exitHost, errors.New("-from, -record and -invoke have no effect on a snapshot: give them to wasivirt run")
	}
	s.store, s.given = *out, givenOf(flags)
	return s.run(ctx, flags.Arg(0), flags.Args()[1:], stdin, stdout, stderr)
}

// instantiate makes the guest, of a snapshot with -from, in which mounts take the place of those at
// their paths.
func (s *settings) instantiate(ctx context.Context, host *virt.Host, module *virt.Module, mounts []virt.GuestOption, opts ...virt.GuestOption) (_ *virt.Guest, close func() error, err error) {
	if s.from == "" {
		guest, err := host.Instantiate(ctx, module, opts...)
		return guest, func() error { return nil }, err
	}
	if s.record != "" {
		return nil, nil, errors.New("-record: wasivirt replay cannot replay a guest that began with -from: record it by virt.WithRecording, and replay it by replay.WithSnapshot")
	}
	f, err := os.Open(s.from)
	if err != nil {
		return nil, nil, fmt.Errorf("-from: %w", err)
	}
	defer f.Close()
	snapshot, err := virt.ReadSnapshot(module, f, mounts...)
	if err != nil {
		return nil, nil, fmt.Errorf("-from %s: %w", s.from, err)
	}
	guest, err := snapshot.Start(ctx, opts...)
	if err != nil {
		return nil, nil, errors.Join(err, snapshot.Close())
	}
	return guest, snapshot.Close, nil
}

// storeSnapshot writes what the guest is to the file of -o, which is whole or not there.
func (w *world) storeSnapshot(ctx context.Context, guest *virt.Guest) (err error) {
	defer progress(w.stderr, still("writing %s", w.store))()
	snapshot, err := guest.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	f, err := os.CreateTemp(filepath.Dir(w.store), ".wasivirt-snapshot-*")
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(f, 1<<16)
	_, err = snapshot.WriteTo(buffered)
	if err = errors.Join(err, buffered.Flush(), f.Close()); err == nil {
		err = os.Rename(f.Name(), w.store)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}
