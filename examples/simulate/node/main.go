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
	peers []*peer
)

// state is what is durable: the term that was promised, and the newest map that was accepted.
type state struct {
	Promised, Term, Index int
	KV                    map[string]string
}

func (s state) newer(t state) bool { return s.Term > t.Term || s.Term == t.Term && s.Index > t.Index }

// String returns the state in one line: "PROMISED TERM INDEX KEY=VALUE…".
func (s state) String() string {
	text := strconv.Itoa(s.Promised) + " " + strconv.Itoa(s.Term) + " " + strconv.Itoa(s.Index)
	for key, value := range s.KV {
		text += " " + key + "=" + value
	}
	return text
}

func parse(text string) (s state, err error) {
	fields := strings.Fields(text)
	if len(fields) < 3 {
		return s, fmt.Errorf("the state %q is too short", text)
	}
	for i, n := range []*int{&s.Promised, &s.Term, &s.Index} {
		if *n, err = strconv.Atoi(fields[i]); err != nil {
			return s, err
		}
	}
	s.KV = map[string]string{}
	for _, pair := range fields[3:] {
		key, value, _ := strings.Cut(pair, "=")
		s.KV[key] = value
	}
	return s, nil
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
	_, err = f.WriteString(s.String() + "\n")
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
	_, majority := r.ask("accept " + s.String())
	r.mu.Lock()
	ok := r.leader && r.state.Promised == s.Promised
	if ok && s.newer(r.state) {
		ok = r.save(s) == nil
	}
	r.leader = ok // one that cannot save what it has sent must not send another state as that version
	if ok && majority {
		r.heard = time.Now()
	}
	r.mu.Unlock()
	return ok && majority
}

// ask sends a request to all peers and returns what they answered in time, and whether a majority
// said yes; this replica does. The caller holds leading.
func (r *replica) ask(line string) (answers []string, majority bool) {
	for _, p := range peers {
		p.send(line + "\n")
	}
	yes := 1
	for _, p := range peers {
		a := p.answer()
		if strings.HasPrefix(a, "yes") {
			yes++
		}
		answers = append(answers, a)
	}
	return answers, yes > (len(peers)+1)/2
}

// peer is another replica, with the connection to it, nil while there is none.
type peer struct {
	name string
	conn *os.File
	in   *bufio.Reader
}

// send sends a line. An error shows when the answer is read.
func (p *peer) send(line string) {
	if p.conn == nil {
		f, err := os.OpenFile("/net/"+p.name+":7000", os.O_RDWR, 0)
		if err != nil {
			return
		}
		p.conn, p.in = f, bufio.NewReader(f)
	}
	p.conn.SetDeadline(time.Now().Add(rpcTime))
	p.conn.WriteString(line)
}

// answer reads the answer, or "". A connection on which one is missing is good for nothing more.
func (p *peer) answer() string {
	if p.conn == nil {
		return ""
	}
	line, err := p.in.ReadString('\n')
	if err != nil {
		p.conn.Close()
		p.conn = nil
		return ""
	}
	return strings.TrimSpace(line)
}

// campaign tries to lead. The caller holds leading.
func (r *replica) campaign() {
	r.mu.Lock()
	s := r.state
	s.Promised++
	err := r.save(s)
	r.heard = time.Now()
	r.mu.Unlock()
	if err != nil {
		return
	}
	answers, majority := r.ask("promise " + strconv.Itoa(s.Promised))
	best := s
	for _, a := range answers {
		if text, ok := strings.CutPrefix(a, "yes "); ok {
			if other, err := parse(text); err == nil && other.newer(best) {
				best = other
			}
		}
	}
	best.Promised, best.Term = s.Promised, s.Promised
	r.mu.Lock()
	ok := majority && r.state.Promised == s.Promised
	r.leader = ok
	r.mu.Unlock()
	if ok && r.propose(best) {
		fmt.Println("leads term", s.Promised)
	}
}

// watch heartbeats while leading, unless a request has been one, and campaigns when no leader is
// heard of.
func (r *replica) watch() {
	patience := func() time.Duration { return 3*tick + rand.N(3*tick) }
	for wait := patience(); ; time.Sleep(tick) {
		r.leading.Lock()
		if s, leader, heard := r.now(); leader && time.Since(heard) > tick/2 {
			r.propose(s)
		} else if !leader && time.Since(heard) > wait {
			wait = patience()
			r.campaign()
		}
		r.leading.Unlock()
	}
}

// serve answers all requests of one connection.
func (r *replica) serve(c net.Conn) {
	defer c.Close()
	for lines := bufio.NewScanner(c); lines.Scan(); {
		if _, err := c.Write([]byte(r.handle(lines.Text()) + "\n")); err != nil {
			return
		}
	}
}

func main() {
	for _, p := range strings.Split(os.Getenv("NODES"), ",") {
		if p != name {
			peers = append(peers, &peer{name: p})
		}
	}
	text, err := os.ReadFile(stateFile)
	if errors.Is(err, os.ErrNotExist) {
		text, err = []byte("0 0 0"), nil
	}
	r := &replica{heard: time.Now()}
	if err == nil {
		r.state, err = parse(string(text))
	}
	l, lerr := net.FileListener(os.NewFile(4, "listener"))
	if err = errors.Join(err, lerr); err != nil {
		panic(err)
	}
	go r.watch()
	for {
		c, err := l.Accept()
		if err != nil {
			panic(err)
		}
		go r.serve(c)
	}
}
