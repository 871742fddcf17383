package fleet

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// Status is the state of a fleet at one moment.
type Status struct {
	// Waiting is the number of jobs in the queue that no worker has, Running that of jobs that one
	// has.
	Waiting uint64 `json:"waiting"`
	Running uint64 `json:"running"`
	// Results is the number of finished jobs.
	Results uint64 `json:"results"`
	// Doubled is the number of results that were stored over another. It is 0 unless something is
	// broken.
	Doubled uint64 `json:"doubled"`
	// Aside are the jobs that no worker could finish, at most 100, and 1 MiB of them.
	Aside []Aside `json:"aside,omitempty"`
	// Differences are the jobs with different results, at most 100, and 1 MiB of them.
	Differences []Difference `json:"differences,omitempty"`
	// Workers are the workers that live, at most 100, ordered by name.
	Workers []WorkerState `json:"workers,omitempty"`
}

// maxListed and maxListedBytes bound each list of a Status.
const (
	maxListed      = 100
	maxListedBytes = 1 << 20
)

// Status asks the fleet for its state.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	s := &Status{}
	err := again(ctx, func(ctx context.Context) error {
		*s = Status{}
		queue, err := c.stream.Info(ctx)
		if err != nil {
			return err
		}
		consumer, err := c.stream.Consumer(ctx, durable)
		if err != nil {
			return err
		}
		s.Running = uint64(consumer.CachedInfo().NumAckPending)
		s.Waiting = queue.State.Msgs - min(queue.State.Msgs, s.Running)
		results, err := c.js.Stream(ctx, "KV_"+resultsName)
		if err != nil {
			return err
		}
		state := results.CachedInfo().State
		s.Results, s.Doubled = state.NumSubjects, state.Msgs-state.NumSubjects
		if s.Aside, err = listed[Aside](ctx, c.aside); err != nil {
			return err
		}
		if s.Differences, err = listed[Difference](ctx, c.differ); err != nil {
			return err
		}
		s.Workers, err = listed[WorkerState](ctx, c.workers)
		slices.SortFunc(s.Workers, func(a, b WorkerState) int { return cmp.Compare(a.Name, b.Name) })
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("status of the fleet: %w", err)
	}
	return s, nil
}

// listed returns the first values of a bucket.
func listed[T any](ctx context.Context, kv jetstream.KeyValue) (all []T, err error) {
	watch, err := kv.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, watch.Stop()) }()
	size := 0
	for {
		select {
		case <-ctx.Done():
			return all, ctx.Err()
		case e := <-watch.Updates():
			if e == nil || len(all) == maxListed {
				return all, nil
			}
			if size += len(e.Value()); size > maxListedBytes {
				return all, nil
			}
			var v T
			if err := json.Unmarshal(e.Value(), &v); err == nil {
				all = append(all, v)
			}
		}
	}
}
