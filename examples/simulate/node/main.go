// Command node is a replica of a key-value store: a guest that knows nothing of being simulated.
//
// The state is a map with a version (term, index). A candidate that wants to lead asks all replicas
// to promise its term, durably, which is larger than any they know; with a majority it has the
// newest state among them. A leader handles one request at a time: it makes a new state, sends it
// to all, and answers the client when a majority, itself included, has it on disk. Any two
// majorities share a replica, so that the next leader finds what was acknowledged. Reads take the
// same way, because a leader cannot know that it still is one.
//
// BUG=ack-before-sync acknowledges what is not on disk yet; BUG=local-reads lets a leader read
// without asking the others.
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
	"strconv"
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

func parse(text string) (s state, err error) {
	err = json.Unmarshal([]byte(text), &s)
	return s, err
}

// replica is this node. leading is held by the one proposal that is under way, mu for the rest.
type replica struct {
	mu      sync.Mutex
	state   state
	leader  bool
	heard   time.Time // when a leader was heard of
	leading sync.Mutex
}

func (r *replica) now() (s state, leader bool, heard time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state, r.leader, r.heard
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
	if err = os.Rename(stateFile+".new", stateFile); err == nil {
		r.state = s
	}
	return err
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
		term, _ := strconv.Atoi(rest)
		r.mu.Lock()
		defer r.mu.Unlock()
		s := r.state
		if term <= s.Promised {
			return "no"
		}
		s.Promised = term
		if r.save(s) != nil {
			return "no"
		}
		r.leader, r.heard = false, time.Now()
		return "yes " + s.String()
	case "accept": // STATE: of the leader of its promised term
		s, err := parse(rest)
		if err != nil {
			return "no"
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if s.Promised < r.state.Promised {
			return "no"
		}
		r.leader = r.leader && s.Promised == r.state.Promised
		r.heard = time.Now()
		if (s.newer(r.state) || s.Promised > r.state.Promised) && r.save(s) != nil {
			return "no"
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
	s, leader, _ := r.now()
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
	s.KV, s.Term, s.Index = maps.Clone(s.KV), s.Promised, s.Index+1
	s.KV[key] = value
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
	return ok && majority(answers)
}

// majority reports whether most replicas said yes; this one does.
func majority(answers []string) bool {
	n := 1
	for _, a := range answers {
		if strings.HasPrefix(a, "yes") {
			n++
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
	all := make([]string, len(peers))
	for i := range all {
		all[i] = <-answers
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
	fmt.Fprintln(f, line) // an error shows when the answer is read
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
	if !majority(answers) {
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
		if _, leader, heard := r.now(); leader {
			r.leading.Lock()
			s, _, _ := r.now()
			r.propose(s)
			r.leading.Unlock()
		} else if time.Since(heard) > wait {
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
	r := &replica{state: state{KV: map[string]string{}}, heard: time.Now()}
	err := r.load()
	l, lerr := net.FileListener(os.NewFile(4, "listener"))
	if err = errors.Join(err, lerr); err == nil {
		go r.watch()
		err = r.serve(l)
	}
	fmt.Println(err)
	os.Exit(1)
}

func (r *replica) serve(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			if line, err := bufio.NewReader(c).ReadString('\n'); err == nil {
				fmt.Fprintln(c, r.handle(strings.TrimSpace(line)))
			}
		}()
	}
}
