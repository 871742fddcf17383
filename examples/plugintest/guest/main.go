// Spool is the plugin under test: it delivers the files of /in to /out, each in one step, and keeps
// a journal.
//
// A delivery that fails is tried again after one second, two, four, up to five times, with a little
// chance added so that many spools do not try at once. It exits with 1 if something could not be
// delivered.
package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const tries = 5

func main() {
	if err := spool(); err != nil {
		fmt.Fprintln(os.Stderr, "spool:", err)
		os.Exit(1)
	}
}

func spool() error {
	entries, err := os.ReadDir("/in")
	if err != nil {
		return err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if err := retry(name); err != nil {
			return err
		}
		fmt.Println("delivered", name)
	}
	return nil
}

// retry delivers one file.
func retry(name string) (err error) {
	for n := range tries {
		if err = deliver(name); err == nil {
			return nil
		}
		if err := journal(fmt.Sprintf("%s: try %d: %v", name, n+1, err)); err != nil {
			return err
		}
		wait := time.Second << n
		time.Sleep(wait + time.Duration(rand.Int64N(int64(wait)/10)))
	}
	return fmt.Errorf("%s was tried %d times: %w", name, tries, err)
}

// deliver moves a file to /out so that nobody sees it by half, whenever the power fails.
func deliver(name string) error {
	text, err := os.ReadFile(filepath.Join("/in", name))
	if err != nil {
		return err
	}
	f, err := os.CreateTemp("/out", "."+name+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join("/out", name))
	}
	if err != nil {
		return err
	}
	return os.Remove(filepath.Join("/in", name))
}

func journal(line string) error {
	f, err := os.OpenFile("/journal", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s %s\n", time.Now().UTC().Format(time.TimeOnly), line)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}
