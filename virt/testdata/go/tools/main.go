// A guest with the programs that the tests of time, pipes and terminals need: the first argument
// chooses.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

var programs = map[string]func(args []string) error{
	"sleep": sleep, "tick": tick, "zeros": zeros, "cat": cat, "invert": invert, "count": count, "repl": repl, "read": read,
}

func main() {
	if err := programs[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// sleep sleeps an hour in 100 sleeps, in each of 10 goroutines, and prints what each saw pass.
func sleep([]string) error {
	var all sync.WaitGroup
	slept := make([]time.Duration, 10)
	for i := range slept {
		all.Go(func() {
			start := time.Now()
			for range 100 {
				time.Sleep(36 * time.Second)
			}
			slept[i] = time.Since(start)
		})
	}
	all.Wait()
	fmt.Println(slept)
	return nil
}

// tick waits for lines of standard input, and each half second without one prints a dot.
func tick([]string) error {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(os.Stdin); s.Scan(); {
			lines <- s.Text()
		}
	}()
	start := time.Now()
	for {
		select {
		case l, ok := <-lines:
			if !ok {
				return nil
			}
			fmt.Println(time.Since(start), l)
		case <-time.After(time.Second / 2):
			fmt.Println(time.Since(start), ".")
		}
	}
}

// zeros writes that many MiB.
func zeros(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	block := make([]byte, 1<<20)
	for range n {
		if _, err := os.Stdout.Write(block); err != nil {
			return err
		}
	}
	return nil
}

// cat copies.
func cat([]string) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{os.Stdout}, struct{ io.Reader }{os.Stdin}, make([]byte, 256<<10))
	return err
}

// invert copies with all bits inverted.
func invert([]string) error {
	block := make([]byte, 256<<10)
	for {
		n, err := os.Stdin.Read(block)
		for i := range block[:n] {
			block[i] = ^block[i]
		}
		if _, err := os.Stdout.Write(block[:n]); err != nil {
			return err
		}
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// count prints how many bytes came, and whether all of them are 0xff.
func count([]string) error {
	block := make([]byte, 256<<10)
	ones := bytes.Repeat([]byte{0xff}, len(block))
	total, same := 0, true
	for {
		n, err := os.Stdin.Read(block)
		total += n
		same = same && bytes.Equal(block[:n], ones[:n])
		if err == io.EOF {
			break
		} else if err != nil {
			return err
		}
	}
	fmt.Println(total, same)
	return nil
}

// repl answers each line after a prompt.
func repl([]string) error {
	in := bufio.NewReader(os.Stdin)
	for {
		fmt.Print("> ")
		line, err := in.ReadString('\n')
		if err == io.EOF {
			fmt.Println("bye")
			return nil
		} else if err != nil {
			return err
		}
		fmt.Printf("%q\n", strings.ToUpper(strings.TrimSpace(line)))
	}
}

// read prints what each read of standard input gives.
func read([]string) error {
	block := make([]byte, 1000)
	for {
		n, err := os.Stdin.Read(block)
		if err == io.EOF {
			fmt.Println("EOF")
			return nil
		} else if err != nil {
			return err
		}
		fmt.Printf("%q\n", block[:n])
	}
}
