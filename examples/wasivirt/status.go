package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/ps"
)

// statusPeriod is how often the file of -status is written.
const statusPeriod = time.Second

// tellStatus writes what the guests do to the file of -status, each second, and to stderr at each
// SIGUSR1, until stop is called. The file is replaced as a whole.
func (s *settings) tellStatus(host *virt.Host, stderr io.Writer) (stop func() error, err error) {
	if s.status != "" {
		if err := writeStatus(s.status, host); err != nil {
			return nil, err
		}
	}
	asked := make(chan os.Signal, 1)
	if statusSignals != nil {
		signal.Notify(asked, statusSignals...)
	}
	ticker := time.NewTicker(statusPeriod)
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-asked:
				_ = ps.Write(stderr, ps.Of(host)) // nobody is left who could be told
			case <-ticker.C:
				if s.status != "" {
					_ = writeStatus(s.status, host) // the last one tells
				}
			case <-over:
				return
			}
		}
	}()
	return func() error {
		signal.Stop(asked)
		ticker.Stop()
		close(over)
		<-done
		if s.status == "" {
			return nil
		}
		return writeStatus(s.status, host)
	}, nil
}

func writeStatus(file string, host *virt.Host) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n", time.Now().Format(time.RFC3339))
	if err := ps.Write(&b, ps.Of(host)); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".status")
	if err == nil {
		_, err = f.Write(b.Bytes())
		if e := f.Close(); err == nil {
			err = e
		}
		if err == nil {
			err = os.Rename(f.Name(), file)
		}
		if err != nil {
			_ = os.Remove(f.Name()) // the first error tells more
		}
	}
	var failed *fs.PathError
	if errors.As(err, &failed) {
		err = failed.Err // the name would be that of the temporary file
	}
	if err != nil {
		return fmt.Errorf("-status %s: %w", file, err)
	}
	return nil
}
