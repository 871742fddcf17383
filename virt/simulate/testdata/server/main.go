// Command server answers lines: "time", "save TEXT", "sync TEXT", "load", "ask NODE LINE".
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

func main() {
	l, err := net.FileListener(os.NewFile(4, "listener"))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		go func() {
			defer c.Close()
			line, _ := bufio.NewReader(c).ReadString('\n')
			fmt.Fprintln(c, answer(strings.TrimSpace(line)))
		}()
	}
}

func answer(line string) string {
	op, rest, _ := strings.Cut(line, " ")
	switch op {
	case "time":
		return time.Now().UTC().Format(time.RFC3339)
	case "save", "sync":
		f, err := os.Create("/data/file")
		if err == nil {
			_, err = f.WriteString(rest)
		}
		if err == nil && op == "sync" {
			err = f.Sync()
		}
		f.Close()
		return fmt.Sprint(err)
	case "load":
		text, err := os.ReadFile("/data/file")
		if err != nil {
			return "nothing"
		}
		return string(text)
	case "ask":
		node, rest, _ := strings.Cut(rest, " ")
		f, err := os.OpenFile("/net/"+node+":7", os.O_RDWR, 0)
		if err != nil {
			return err.Error()
		}
		defer f.Close()
		fmt.Fprintln(f, rest)
		answer, err := bufio.NewReader(f).ReadString('\n')
		if err != nil {
			return err.Error()
		}
		return strings.TrimSpace(answer)
	case "exit":
		os.Exit(3)
	}
	return "what?"
}
