package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
)

// AsideError says that no worker could finish a job.
type AsideError struct{ Aside }

func (e *AsideError) Error() string {
	return fmt.Sprintf("job %s was set aside after %d tries: %s", e.ID, e.Tries, e.Reason)
}

// Submit queues a job and returns its ID. A job that is queued, runs, has a result or was set aside
// is not queued again. Submit waits while the queue is full.
func (c *Client) Submit(ctx context.Context, j Job) (id string, err error) {
	if err := j.Validate(); err != nil {
		return "", err
	}
	id = j.ID()
	switch _, err := c.Result(ctx, id); {
	case err == nil:
		return id, nil
	case errors.As(err, new(*AsideError)):
		return id, nil
	case !errors.Is(err, ErrNotFound):
		return "", err
	}
	body, err := json.Marshal(j)
	if err != nil {
		return "", fmt.Errorf("job %s: %w", id, err)
	}
	if err := c.queue(ctx, &nats.Msg{Subject: jobSubject + id, Data: body}); err != nil {
		return "", fmt.Errorf("queue job %s: %w", id, err)
	}
	return id, nil
}

// SubmitAll queues jobs, many at a time, and returns their IDs in the same order.
func (c *Client) SubmitAll(ctx context.Context, jobs []Job) ([]string, error) {
	ids := make([]string, len(jobs))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(64)
	for i, j := range jobs {
		group.Go(func() (err error) {
			ids[i], err = c.Submit(ctx, j)
			return err
		})
	}
	return ids, group.Wait()
}

// queue publishes a message of the queue, unless one of the same subject is there.
func (c *Client) queue(ctx context.Context, m *nats.Msg) error {
	return again(ctx, func(ctx context.Context) error {
		_, err := c.js.PublishMsg(ctx, m, jetstream.WithExpectLastSequencePerSubject(0))
		var api *jetstream.APIError
		if errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
			return nil
		}
		return err
	})
}

// Result returns what is known of a job.
//
// Errors: [ErrNotFound] if the job has no result yet, *[AsideError] if it was set aside.
func (c *Client) Result(ctx context.Context, id string) (*Finished, error) {
	if !isID(id) {
		return nil, fmt.Errorf("job %q: %w: want an ID as Submit returns it", id, ErrNotFound)
	}
	f := &Finished{}
	err := getJSON(ctx, c.results, id, f)
	if err == nil && (f.ID != id || f.Job.ID() != id) {
		return nil, fmt.Errorf("job %s: the result that is stored for it says that it is of job %q: it was not stored by a Worker of this version", id, f.ID)
	}
	if !errors.Is(err, jetstream.ErrKeyNotFound) {
		return f, err
	}
	a := &AsideError{}
	switch err := getJSON(ctx, c.aside, id, &a.Aside); {
	case err == nil:
		return nil, a
	case !errors.Is(err, jetstream.ErrKeyNotFound):
		return nil, err
	}
	return nil, fmt.Errorf("job %s: %w: it waits, runs, or was never submitted", id, ErrNotFound)
}

func getJSON(ctx context.Context, kv jetstream.KeyValue, key string, to any) error {
	return again(ctx, func(ctx context.Context) error {
		e, err := kv.Get(ctx, key)
		if err != nil {
			return err
		}
		return json.Unmarshal(e.Value(), to)
	})
}

// Wait returns the result of a job as soon as there is one.
//
// Errors: *[AsideError] if the job was set aside; the context's.
func (c *Client) Wait(ctx context.Context, id string) (*Finished, error) {
	told, forget := c.finished.tell(id)
	defer forget()
	// The watch may miss what happened while the server restarted: look from time to time.
	look := time.NewTicker(2 * time.Second)
	defer look.Stop()
	for {
		f, err := c.Result(ctx, id)
		if !errors.Is(err, ErrNotFound) || !isID(id) {
			return f, err
		}
		select {
		case <-told:
		case <-look.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for job %s: %w", id, context.Cause(ctx))
		}
	}
}

// Run submits a job and waits for its result.
func (c *Client) Run(ctx context.Context, j Job) (*Finished, error) {
	id, err := c.Submit(ctx, j)
	if err != nil {
		return nil, err
	}
	return c.Wait(ctx, id)
}

// Retry queues a job again that was set aside.
func (c *Client) Retry(ctx context.Context, id string) error {
	_, err := c.Result(ctx, id)
	a := &AsideError{}
	if !errors.As(err, &a) {
		return fmt.Errorf("job %s was not set aside", id)
	}
	if err := again(ctx, func(ctx context.Context) error { return c.aside.Purge(ctx, id) }); err != nil {
		return fmt.Errorf("retry job %s: %w", id, err)
	}
	_, err = c.Submit(ctx, a.Job)
	return err
}

// finishedWatch tells waiters which jobs have ended: one watch a client, however many wait.
type finishedWatch struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
	mu     sync.Mutex
	wait   map[string]map[chan struct{}]bool
}

func watchFinished(c *Client) *finishedWatch {
	ctx, cancel := context.WithCancel(context.Background())
	w := &finishedWatch{cancel: cancel, wait: map[string]map[chan struct{}]bool{}}
	for _, kv := range []jetstream.KeyValue{c.results, c.aside} {
		w.done.Go(func() {
			for ctx.Err() == nil {
				w.follow(ctx, kv)
				select {
				case <-ctx.Done():
				case <-time.After(time.Second):
				}
			}
		})
	}
	return w
}

// follow tells of the keys of one bucket until the watch breaks.
func (w *finishedWatch) follow(ctx context.Context, kv jetstream.KeyValue) {
	watch, err := kv.WatchAll(ctx, jetstream.UpdatesOnly(), jetstream.MetaOnly())
	if err != nil {
		return
	}
	defer watch.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-watch.Updates():
			if !ok {
				return
			}
			if e != nil {
				w.found(e.Key())
			}
		}
	}
}

func (w *finishedWatch) found(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.wait[id] {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// tell returns a channel that gets a value when something happened to the job.
func (w *finishedWatch) tell(id string) (told <-chan struct{}, forget func()) {
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wait[id] == nil {
		w.wait[id] = map[chan struct{}]bool{}
	}
	w.wait[id][c] = true
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if delete(w.wait[id], c); len(w.wait[id]) == 0 {
			delete(w.wait, id)
		}
	}
}

func (w *finishedWatch) close() {
	w.cancel()
	w.done.Wait()
}
