// Command datagrams answers datagrams, or sends them, on sockets that it opens itself.
//
//	datagrams serve ADDRESS N       answers N different questions, and repeats answers
//	datagrams ask ADDRESS N         asks N questions and prints the answers, and how long they took
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/wasivirt/wasivirt/virt/guestnet"
)

func main() {
	n, _ := strconv.Atoi(os.Args[3])
	run := ask
	if os.Args[1] == "serve" {
		run = serve
	}
	if err := run(os.Args[2], n); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// serve answers until nobody has asked for a while after the last question.
func serve(address string, n int) error {
	c, err := guestnet.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	asked := map[string]bool{}
	p := make([]byte, 512)
	for {
		if len(asked) == n {
			if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				return err
			}
		}
		k, from, err := c.ReadFrom(p)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		} else if err != nil {
			return err
		}
		asked[string(p[:k])] = true
		if _, err := c.WriteTo(append([]byte("hello "), p[:k]...), from); err != nil {
			return err
		}
	}
}

func ask(address string, n int) error {
	c, err := guestnet.Dial("udp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	for i := range n {
		start := time.Now()
		answer, err := answerOf(c, fmt.Sprint(i))
		if err != nil {
			return err
		}
		fmt.Printf("%s %v\n", answer, time.Since(start).Round(10*time.Millisecond))
	}
	return nil
}

// answerOf asks again each second.
func answerOf(c net.Conn, question string) (string, error) {
	p := make([]byte, 512)
	for {
		if _, err := c.Write([]byte(question)); err != nil {
			return "", err
		}
		if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			return "", err
		}
		for {
			k, err := c.Read(p)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			} else if err != nil {
				return "", err
			}
			if string(p[:k]) == "hello "+question {
				return string(p[:k]), nil
			}
		}
	}
}
