// Command simulate finds two bugs in a replicated key-value store that nobody finds by trying: it
// runs three replicas, two clients, and whatever goes wrong with machines, clocks, disks and
// networks, over many seeds, until one run is not linearizable, and tells the story of that run.
// Then it runs the corrected store.
//
//	go run ./examples/simulate                       # both bugs, then the corrected store over 25 seeds
//	go run ./examples/simulate -bug local-reads      # one of them
//	go run ./examples/simulate -bug "" -seeds 2000   # the corrected store
//	go run ./examples/simulate -guided               # every second run varies an earlier one
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/wasivirt/wasivirt/internal/goguest"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/simulate"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	bug := flag.String("bug", "all", "`BUG` to look for: ack-before-sync, local-reads, all, or none if empty")
	seeds := flag.Uint64("seeds", 0, "how many seeds to run (default: 1000 with a bug, 25 without)")
	first := flag.Uint64("first", 1, "the first seed")
	guided := flag.Bool("guided", false, "let every second run vary the faults of an earlier one that did something new")
	plan := flag.String("plan", "", "run the first seed alone with these `FAULTS`, one a line, as a story shows them")
	flag.Parse()
	bugs := []string{*bug}
	if *bug == "all" {
		bugs = []string{"ack-before-sync", "local-reads", ""}
	}
	for _, b := range bugs {
		n := *seeds
		if n == 0 {
			if n = 1000; b == "" {
				n = 25
			}
		}
		if err := run(ctx, os.Stdout, search{bug: b, first: *first, seeds: n, guided: *guided, plan: *plan}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// search is what is looked for, and how.
type search struct {
	bug          string
	first, seeds uint64
	guided       bool
	plan         string // of the run of the first seed, "" for a search
}

// find runs the seeds, or the one with a plan.
func (s search) find(ctx context.Context, r *simulate.Runner) (failed *simulate.Result, runs int, err error) {
	if s.plan == "" {
		return r.Find(ctx, s.first, s.first+s.seeds-1, 0)
	}
	plan, err := simulate.ParsePlan(s.plan)
	if err != nil {
		return nil, 0, err
	}
	result, err := r.RunPlan(ctx, s.first, plan)
	if err != nil || result.Failure == nil {
		return nil, 1, err
	}
	return result, 1, nil
}

// run looks for a bug and tells what it found.
func run(ctx context.Context, out io.Writer, s search) error {
	wasm, err := goguest.Build(ctx, "github.com/wasivirt/wasivirt/examples/simulate/node")
	if err != nil {
		return err
	}
	sim := store(wasm, s.bug)
	sim.Guided = s.guided
	r, err := simulate.New(ctx, sim)
	if err != nil {
		return err
	}
	defer r.Close(context.WithoutCancel(ctx))
	return s.tell(ctx, out, r)
}

// tell makes the search and tells what it found.
func (s search) tell(ctx context.Context, out io.Writer, r *simulate.Runner) error {
	begun := time.Now()
	failed, runs, err := s.find(ctx, r)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "bug %q: %d runs in %v\n", s.bug, runs, time.Since(begun).Round(time.Millisecond))
	if failed == nil {
		fmt.Fprintf(out, "none of the runs from seed %d on fails\n\n", s.first)
		return nil
	}
	shrunk, err := r.Shrink(ctx, failed)
	if err != nil {
		return err
	}
	command := fmt.Sprintf("go run ./examples/simulate -bug %q -first %d -seeds 1", s.bug, failed.Seed)
	if failed.Varied {
		command += fmt.Sprintf(" -plan '%v'", shrunk.Plan)
	}
	_, err = fmt.Fprintln(out, shrunk.Story(command))
	return err
}

// store is three replicas, two clients that write and read two keys, and everything that goes
// wrong.
func store(wasm []byte, bug string) simulate.Simulation {
	s := simulate.Simulation{
		Clients: []simulate.Client{{Name: "alice", Run: client}, {Name: "bob", Run: client}},
		Length:  3 * time.Second,
		Nemesis: simulate.Nemesis{Kinds: simulate.Kinds(), Faults: 8, Longest: time.Second},
		Check:   func(w *simulate.World) error { return simulate.CheckRegisters(w.History()) },
	}
	for _, name := range []string{"n1", "n2", "n3"} {
		s.Nodes = append(s.Nodes, simulate.Node{
			Name: name, Wasm: wasm, Ports: []string{"7000"}, Options: []virt.GuestOption{virt.WithEnv("BUG", bug), virt.WithEnv("GOGC", "off")},
		})
	}
	return s
}

// client writes and reads until the run is over. It stays with the replica that has answered last.
func client(a *simulate.Actor) error {
	node := &replica{actor: a}
	defer node.leave()
	for n := 1; ; n++ {
		if err := a.Sleep(time.Duration(a.Rand.IntN(150)) * time.Millisecond); err != nil {
			return err
		}
		o := simulate.Operation{Key: []string{"x", "y"}[a.Rand.IntN(2)], Write: a.Rand.IntN(2) == 0}
		request := "get " + o.Key
		if o.Write {
			o.Value = fmt.Sprint(a.Name()[:1], n)
			request = "put " + o.Key + "=" + o.Value
		}
		for tries := 0; tries < 20; tries++ {
			call := a.Now()
			answer := node.ask(request)
			if value, ok := strings.CutPrefix(answer, "ok"); ok {
				if !o.Write {
					o.Value = strings.TrimSpace(value)
				}
				a.Record(o, call)
				break
			}
			node.leave()
			if answer != "no" && o.Write { // it may have happened
				o.Unknown = true
				a.Record(o, call)
				break
			}
			if err := a.Sleep(20 * time.Millisecond); err != nil {
				return err
			}
		}
	}
}

// replica is the one that a client talks to.
type replica struct {
	actor *simulate.Actor
	conn  *simulate.Conn // nil: the next request goes to any of them
	in    *bufio.Reader
}

// leave ends the connection.
func (r *replica) leave() {
	if r.conn != nil {
		r.conn.Close()
		r.conn = nil
	}
}

// ask sends a request and returns the answer: "no" where it was not sent.
func (r *replica) ask(request string) string {
	if r.conn == nil {
		name := []string{"n1", "n2", "n3"}[r.actor.Rand.IntN(3)]
		c, err := r.actor.Dial(name+":7000", 300*time.Millisecond)
		if err != nil {
			return "no"
		}
		r.conn, r.in = c, bufio.NewReader(c)
	}
	r.conn.SetTimeout(300 * time.Millisecond)
	if _, err := fmt.Fprintln(r.conn, request); err != nil {
		return "unknown"
	}
	answer, err := r.in.ReadString('\n')
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(answer)
}
