// Command node is a replica of a key-value store: a guest that knows nothing of being simulated.
//
// The state is a map with a version (term, index). A candidate that wants to lead asks all replicas to promise its term, durably, which
// is larger than any they know; with a majority it has the newest state among them. A leader handles one request at a
// time: it makes a new state, sends it to all, and answers the client when a majority, itself included, has it on disk. Any two majorities
// share a replica, so that the next leader finds what was acknowledged. Reads take the same way, because a leader cannot know that it
// still is one.
//
// BUG=ack-before-sync acknowledges what is not on disk yet; BUG=local-reads lets a leader read without asking the others.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	tick      = 100 * time.Millisecond // of the leader's heartbeats
	rpcTime   = 60 * time.Millisecond
	stateFile = "/data/state"
)

var (
	name  = os.Getenv("NODE")
	bug   = os.Getenv("BUG")
	peers []string
)

// state is what is durable: the term that was promised, and the newest map that was accepted.
type state struct {
	Promised, Term, Index int
	KV                    map[string]string
}

func (s state) newer(t state) bool { return s.Term > t.Term || s.Term == t.Term && s.Index > t.Index }

func (s state) String() string {
	text, _ := json.Marshal(s) // of such a type it cannot fail
	return string(text)
}

func parse(text string) (s state, err error) { return s, json.Unmarshal([]byte(text), &s) }

// replica is this node. mu guards it; leading is held by the one proposal that is under way.
type replica struct {
	mu      sync.Mutex
	state   state
	leader  bool
	heard   time.Time // when a leader was heard of
	leading sync.Mutex
}

// save makes a state durable: a new file, synced, renamed over the old one.
func (r *replica) save(s state) error {
	f, err := os.Create(stateFile + ".new")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, s)
	if err == nil && bug != "ack-before-sync" {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(stateFile+".new", stateFile); err != nil {
		return err
	}
	r.state = s
	return nil
}

func (r *replica) load() error {
	text, err := os.ReadFile(stateFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err == nil {
		r.state, err = parse(string(text))
	}
	return err
}

// handle answers a request, a line, with a line.
func (r *replica) handle(line string) string {
	op, rest, _ := strings.Cut(line, " ")
	switch op {
	case "promise": // TERM: never accept a smaller one again
		var term int
		fmt.Sscan(rest, &term)
		r.mu.Lock()
		defer r.mu.Unlock()
		s := r.state
		if term <= s.Promised {
			return fmt.Sprintf("no %d", s.Promised)
		}
		s.Promised = term
		if r.save(s) != nil {
			return "no 0"
		}
		r.leader, r.heard = false, time.Now()
		return "yes " + s.String()
	case "accept": // STATE: of the leader of its promised term
		s, err := parse(rest)
		if err != nil {
			return "no 0"
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if s.Promised < r.state.Promised {
			return fmt.Sprintf("no %d", r.state.Promised)
		}
		r.heard = time.Now()
		if s.newer(r.state) || s.Promised > r.state.Promised {
			if s.Promised > r.state.Promised {
				r.leader = false
			}
			if r.save(s) != nil {
				return "no 0"
			}
		}
		return "yes"
	case "get", "put":
		return r.client(op, rest)
	}
	return "what?"
}

// client answers a client: "ok VALUE", "no" (nothing has happened), or "unknown".
func (r *replica) client(op, rest string) string {
	r.leading.Lock()
	defer r.leading.Unlock()
	r.mu.Lock()
	leader, s := r.leader, r.state
	r.mu.Unlock()
	if !leader {
		return "no"
	}
	key, value, _ := strings.Cut(rest, "=")
	if op == "get" {
		if bug != "local-reads" && !r.propose(s) {
			return "no"
		}
		return "ok " + s.KV[key]
	}
	kv := maps.Clone(s.KV)
	if kv == nil {
		kv = map[string]string{}
	}
	kv[key] = value
	s.KV, s.Term, s.Index = kv, s.Promised, s.Index+1
	if !r.propose(s) {
		return "unknown"
	}
	return "ok"
}

// propose reports whether a majority has accepted a state of this leader.
func (r *replica) propose(s state) bool {
	answers := r.ask("accept " + s.String())
	r.mu.Lock()
	ok := r.leader && r.state.Promised == s.Promised
	if ok && s.newer(r.state) {
		ok = r.save(s) == nil
	}
	r.leader = ok // one that cannot save what it has sent must not send another state as that version
	r.mu.Unlock()
	return ok && r.majority(append(answers, "yes"))
}

// majority reports whether most said yes. A larger term ends the leadership.
func (r *replica) majority(answers []string) bool {
	n := 0
	for _, a := range answers {
		var term int
		if strings.HasPrefix(a, "yes") {
			n++
		} else if fmt.Sscanf(a, "no %d", &term); term > 0 {
			r.mu.Lock()
			if term > r.state.Promised {
				r.leader = false
			}
			r.mu.Unlock()
		}
	}
	return n > (len(peers)+1)/2
}

// ask sends a request to all peers and returns what they answered in time.
func (r *replica) ask(line string) []string {
	answers := make(chan string, len(peers))
	for _, p := range peers {
		go func() { answers <- call(p, line) }()
	}
	var all []string
	for range peers {
		if a := <-answers; a != "" {
			all = append(all, a)
		}
	}
	return all
}

// call sends a line to a peer and returns the answer, or "".
func call(peer, line string) string {
	f, err := os.OpenFile("/net/"+peer+":7000", os.O_RDWR, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	f.SetDeadline(time.Now().Add(rpcTime))
	if _, err := fmt.Fprintln(f, line); err != nil {
		return ""
	}
	answer, err := bufio.NewReader(f).ReadString('\n')
	if err != nil {
		return ""
	}
	return strings.TrimSpace(answer)
}

// campaign tries to lead.
func (r *replica) campaign() {
	r.leading.Lock()
	defer r.leading.Unlock()
	r.mu.Lock()
	s := r.state
	s.Promised++
	err := r.save(s)
	r.heard = time.Now()
	r.mu.Unlock()
	if err != nil {
		return
	}
	answers := r.ask(fmt.Sprintf("promise %d", s.Promised))
	best := s
	for _, a := range answers {
		if text, ok := strings.CutPrefix(a, "yes "); ok {
			if other, err := parse(text); err == nil && other.newer(best) {
				best = other
			}
		}
	}
	if !r.majority(append(answers, "yes")) {
		return
	}
	best.Promised, best.Term = s.Promised, s.Promised
	r.mu.Lock()
	ok := r.state.Promised == s.Promised
	r.leader = ok
	r.mu.Unlock()
	if ok && r.propose(best) {
		fmt.Println("leads term", s.Promised)
	}
}

// watch heartbeats while leading, and campaigns when no leader is heard of.
func (r *replica) watch() {
	patience := func() time.Duration { return 3*tick + rand.N(3*tick) }
	for wait := patience(); ; {
		time.Sleep(tick)
		r.mu.Lock()
		leader, silent := r.leader, time.Since(r.heard)
		r.mu.Unlock()
		if leader {
			r.leading.Lock()
			r.mu.Lock()
			s := r.state
			r.mu.Unlock()
			r.propose(s)
			r.leading.Unlock()
		} else if silent > wait {
			wait = patience()
			r.campaign()
		}
	}
}

func main() {
	for _, p := range strings.Split(os.Getenv("NODES"), ",") {
		if p != name {
			peers = append(peers, p)
		}
	}
	r := &replica{heard: time.Now()}
	if err := r.load(); err != nil {
		fmt.Println("the state is damaged:", err)
		os.Exit(1)
	}
	l, err := net.FileListener(os.NewFile(4, "listener"))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	go r.watch()
	for {
		c, err := l.Accept()
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		go func() {
			defer c.Close()
			if line, err := bufio.NewReader(c).ReadString('\n'); err == nil {
				fmt.Fprintln(c, r.handle(strings.TrimSpace(line)))
			}
		}()
	}
}
