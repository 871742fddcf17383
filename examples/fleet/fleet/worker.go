package fleet

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/semaphore"
)

// workerTTL is the time after which a worker that does not show itself counts as gone.
const workerTTL = 15 * time.Second

// The headers of a message that asks for a second run: the worker of the first, its recording, and
// how often a worker has passed it on.
const (
	ranBy    = "Fleet-Ran-By"
	recorded = "Fleet-Recording"
	passedOn = "Fleet-Passed-On"
)

// Worker takes jobs from the queue, runs them and stores their results.
//
// A worker stores the result before it acknowledges the job. If it dies in between, another worker
// gets the job, finds the result and acknowledges. If it dies before, the other worker runs the
// job. A result is created, never overwritten: the first one counts.
type Worker struct {
	// Client is the connection to the fleet.
	Client *Client
	// Name identifies the worker. Default: the host name, the process ID and a random part.
	Name string
	// Slots is the number of jobs that run at a time. Default: one for each core.
	Slots int
	// Memory bounds what the limits of the jobs that run at a time allow together, in bytes: linear
	// memory, twice the files (their names count as much again) and output. A job that does not fit
	// waits for others; one that never does is set aside. Default: half a gibibyte for each slot.
	Memory uint64
	// MaxTries is the number of times a job is handed out before it is set aside. Default: 5.
	MaxTries uint64
	// Timeout is the time that one try may take. A try that takes longer fails. Default: 10
	// minutes.
	Timeout time.Duration
	// Verify is the share of jobs, from 0 to 1, that a second worker runs again to compare the
	// results. Which jobs are in the share depends on their ID alone. Default: 0.
	Verify float64
	// Log gets one line for each job and each failure. Default: no log.
	Log *slog.Logger

	run      func(ctx context.Context, j Job, record bool) (*Result, []byte, error) // the executor's
	at       func(point string)                                                     // of tests: called at each crash point
	memory   *semaphore.Weighted
	done     atomic.Int64
	failed   atomic.Int64
	busy     atomic.Int64
	consumer jetstream.Consumer
}

// WorkerState is what a worker tells of itself.
type WorkerState struct {
	Name   string `json:"name"`
	Slots  int    `json:"slots"`
	Busy   int64  `json:"busy"`
	Done   int64  `json:"done"`
	Failed int64  `json:"failed"`
}

// Run takes jobs until ctx ends, then finishes those that it has begun and returns nil. Cancel
// hard, if it is not nil, to give up the begun ones as well: other workers get them.
func (w *Worker) Run(ctx context.Context, hard context.Context) error {
	if err := w.defaults(); err != nil {
		return err
	}
	if hard == nil {
		hard = context.WithoutCancel(ctx)
	}
	if w.run == nil {
		e := NewExecutor(w.Client)
		defer e.Close(context.Background())
		w.run = e.run
	}
	err := again(ctx, func(ctx context.Context) (err error) {
		w.consumer, err = w.Client.stream.Consumer(ctx, durable)
		return err
	})
	if err != nil {
		return fmt.Errorf("worker %s: %w", w.Name, err)
	}
	show, stop := context.WithCancel(hard)
	var shown, slots sync.WaitGroup
	shown.Go(func() { w.show(show) })
	for range w.Slots {
		slots.Go(func() { w.slot(ctx, hard) })
	}
	slots.Wait()
	stop()
	shown.Wait()
	gone, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	w.Client.workers.Purge(gone, w.Name)
	return nil
}

func (w *Worker) defaults() error {
	if w.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "worker"
		}
		w.Name = keyOf(fmt.Sprintf("%s-%d-%s", host, os.Getpid(), nats.NewInbox()[len(nats.InboxPrefix):][:6]))
	}
	if w.Slots <= 0 {
		w.Slots = runtime.GOMAXPROCS(0)
	}
	if w.Memory == 0 {
		w.Memory = uint64(w.Slots) << 29
	}
	if w.MaxTries == 0 {
		w.MaxTries = 5
	}
	if w.Timeout == 0 {
		w.Timeout = 10 * time.Minute
	}
	if w.Log == nil {
		w.Log = slog.New(slog.DiscardHandler)
	}
	if w.at == nil {
		w.at = func(string) {}
	}
	if w.Verify < 0 || w.Verify > 1 {
		return fmt.Errorf("worker: verify %v: want a share from 0 to 1", w.Verify)
	}
	w.memory = semaphore.NewWeighted(int64(w.Memory))
	return nil
}

// keyOf makes a name fit for a key of a bucket.
func keyOf(name string) string {
	b := []byte(name)
	for i, c := range b {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			b[i] = '_'
		}
	}
	return string(b)
}

// show keeps the worker's entry alive.
func (w *Worker) show(ctx context.Context) {
	tick := time.NewTicker(workerTTL / 5)
	defer tick.Stop()
	for {
		if b, err := json.Marshal(w.state()); err == nil {
			try, cancel := context.WithTimeout(ctx, workerTTL/5)
			w.Client.workers.Put(try, w.Name, b)
			cancel()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (w *Worker) state() WorkerState {
	return WorkerState{Name: w.Name, Slots: w.Slots, Busy: w.busy.Load(), Done: w.done.Load(), Failed: w.failed.Load()}
}

// slot takes one job after the other.
func (w *Worker) slot(ctx, hard context.Context) {
	for ctx.Err() == nil && hard.Err() == nil {
		try, cancel := context.WithTimeout(ctx, 5*time.Second)
		batch, err := w.consumer.Fetch(1, jetstream.FetchContext(try))
		if err == nil {
			for m := range batch.Messages() {
				w.busy.Add(1)
				w.handle(hard, m)
				w.busy.Add(-1)
			}
			err = batch.Error()
		}
		cancel()
		if err != nil && !errors.Is(err, nats.ErrTimeout) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, jetstream.ErrNoMessages) {
			select {
			case <-ctx.Done():
			case <-time.After(250 * time.Millisecond):
			}
		}
	}
}

// handle brings one message to its end: a result, an entry of those set aside, or another try.
func (w *Worker) handle(ctx context.Context, m jetstream.Msg) {
	w.at("received")
	meta, err := m.Metadata()
	if err != nil {
		m.Term()
		return
	}
	var j Job
	if err = json.Unmarshal(m.Data(), &j); err == nil {
		err = j.Validate()
	}
	if err != nil {
		// Nobody can know its ID: whoever published it did not use a Client.
		w.Log.Error("a message that is no job was removed", "subject", m.Subject(), "error", err)
		m.TermWithReason("no job: " + err.Error())
		return
	}
	id := j.ID()
	verify := m.Headers().Get(ranBy)
	log := w.Log.With("job", id, "try", meta.NumDelivered)
	alive, stop := context.WithCancel(ctx)
	var told sync.WaitGroup
	told.Go(func() { w.keepAlive(alive, m) })
	defer told.Wait()
	defer stop()

	switch _, err := w.Client.Result(ctx, id); {
	case verify == "" && (err == nil || errors.As(err, new(*AsideError))):
		w.ack(ctx, m)
		return
	case verify == w.Name && w.others(ctx):
		w.passOn(ctx, m, id)
		return
	}
	if meta.NumDelivered > w.MaxTries {
		w.setAside(ctx, m, j, meta.NumDelivered-1, "no worker that took it came to an end: it died, or lost its connection")
		return
	}
	began := time.Now()
	r, recording, err := w.try(ctx, j)
	switch {
	case ctx.Err() != nil:
		m.Nak()
		return
	case err != nil:
		w.failed.Add(1)
		log.Warn("the job could not be run", "error", err)
		if meta.NumDelivered >= w.MaxTries {
			w.setAside(ctx, m, j, meta.NumDelivered, err.Error())
			return
		}
		m.NakWithDelay(time.Duration(meta.NumDelivered) * time.Second)
		return
	}
	w.at("ran")
	f := &Finished{ID: id, Job: j, Result: *r, Worker: w.Name, Tries: meta.NumDelivered, Milliseconds: time.Since(began).Milliseconds()}
	if err := w.store(ctx, f, m, recording); err != nil {
		log.Warn("the result could not be stored", "error", err)
		m.Nak()
		return
	}
	w.at("stored")
	w.ack(ctx, m)
	w.at("acknowledged")
	w.done.Add(1)
	log.Info("done", "end", r.Text, "milliseconds", f.Milliseconds)
}

// passOn queues a second run anew, because this worker made the first. It is a message of its own,
// so that it does not count as a try. For a moment that is drawn, the slot takes nothing: two
// workers that hold each other's would else take them again and again.
func (w *Worker) passOn(ctx context.Context, m jetstream.Msg, id string) {
	times, _ := strconv.Atoi(m.Headers().Get(passedOn)) // none the first time
	next := &nats.Msg{Subject: fmt.Sprintf("%s%s.%d", verifySubject, id, times+1), Data: m.Data(),
		Header: nats.Header{ranBy: {w.Name}, recorded: {m.Headers().Get(recorded)}, passedOn: {strconv.Itoa(times + 1)}}}
	if err := w.Client.queue(ctx, next); err != nil {
		m.Nak()
		return
	}
	w.ack(ctx, m)
	select {
	case <-ctx.Done():
	case <-time.After(rand.N(500 * time.Millisecond)):
	}
}

// try runs a job within the worker's limits.
func (w *Worker) try(ctx context.Context, j Job) (*Result, []byte, error) {
	need := j.Limits.memory()
	if need > w.Memory {
		return nil, nil, fmt.Errorf("the job may take %d bytes of memory, files and output, this worker has %d: start a worker with more memory or lower the job's limits", need, w.Memory)
	}
	if err := w.memory.Acquire(ctx, int64(need)); err != nil {
		return nil, nil, err
	}
	defer w.memory.Release(int64(need))
	ctx, cancel := context.WithTimeoutCause(ctx, w.Timeout, fmt.Errorf("the try took longer than %v, which this worker allows", w.Timeout))
	defer cancel()
	return w.run(ctx, j, w.verified(j.ID()))
}

// verified reports whether a job is in the share that is run twice.
func (w *Worker) verified(id string) bool {
	b, err := hex.DecodeString(id[len(id)-8:])
	return err == nil && w.Verify > 0 && float64(binary.BigEndian.Uint32(b)) <= w.Verify*float64(1<<32-1)
}

// store creates the result. If there is one already, it compares the two.
func (w *Worker) store(ctx context.Context, f *Finished, m jetstream.Msg, recording []byte) error {
	body, err := json.Marshal(f)
	if err != nil {
		return err
	}
	kept := ""
	if len(recording) > 0 {
		if kept, err = w.Client.Put(ctx, recording); err != nil {
			return err
		}
	}
	second := m.Headers().Get(ranBy) != ""
	if !second && w.verified(f.ID) {
		// The second run is queued before the result is there: a crash between the two skips
		// neither.
		secondRun := &nats.Msg{Subject: verifySubject + f.ID, Header: nats.Header{ranBy: {w.Name}, recorded: {kept}}, Data: m.Data()}
		if err := w.Client.queue(ctx, secondRun); err != nil {
			return err
		}
	}
	err = again(ctx, func(ctx context.Context) error {
		_, err := w.Client.results.Create(ctx, f.ID, body)
		return err
	})
	if !errors.Is(err, jetstream.ErrKeyExists) {
		return err
	}
	first, err := w.Client.Result(ctx, f.ID)
	if err != nil {
		return err
	}
	if same(first.Result, f.Result) {
		if second && kept != "" {
			return w.Client.drop(ctx, kept) // equal runs have equal recordings: the first run's is the same object
		}
		return nil
	}
	w.Log.Error("two workers gave different results", "job", f.ID, "first", first.Worker, "second", w.Name)
	return putJSON(ctx, w.Client.differ, f.ID, Difference{
		ID:     f.ID,
		First:  Side{Worker: first.Worker, Result: first.Result, Recording: m.Headers().Get(recorded)},
		Second: Side{Worker: w.Name, Result: f.Result, Recording: kept},
	})
}

func putJSON(ctx context.Context, kv jetstream.KeyValue, key string, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return again(ctx, func(ctx context.Context) error {
		_, err := kv.Put(ctx, key, body)
		return err
	})
}

// maxReason is how much is kept of why a job was set aside, in bytes.
const maxReason = 4 << 10

// setAside gives a job up.
func (w *Worker) setAside(ctx context.Context, m jetstream.Msg, j Job, tries uint64, reason string) {
	reason = reason[:min(len(reason), maxReason)]
	if err := putJSON(ctx, w.Client.aside, j.ID(), Aside{ID: j.ID(), Job: j, Reason: reason, Tries: tries}); err != nil {
		m.Nak()
		return
	}
	w.Log.Error("the job was set aside", "job", j.ID(), "tries", tries, "reason", reason)
	w.ack(ctx, m)
}

// ack removes a message from the queue. If the server does not hear it, the job is handed out
// again, and whoever gets it finds the result.
func (w *Worker) ack(ctx context.Context, m jetstream.Msg) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := m.DoubleAck(ctx); err != nil {
		w.Log.Warn("the acknowledgement was not heard", "subject", m.Subject(), "error", err)
	}
}

// keepAlive tells the server that the job is being worked on.
func (w *Worker) keepAlive(ctx context.Context, m jetstream.Msg) {
	tick := time.NewTicker(w.Client.config.AckWait / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			m.InProgress()
		}
	}
}

// others reports whether other workers live.
func (w *Worker) others(ctx context.Context) bool {
	keys, err := w.Client.workers.Keys(ctx)
	return err == nil && (len(keys) > 1 || len(keys) == 1 && keys[0] != w.Name)
}
