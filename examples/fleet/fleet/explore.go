package fleet

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/wasivirt/wasivirt/virt/explore"
)

// MaxChunk is the largest number of seeds in one job.
const MaxChunk = 5000

// Campaign is an exploration of many seeds by the whole fleet.
type Campaign struct {
	// Job is the module with its world. Its Seeds are all seeds to run.
	Job Job
	// Chunk is the number of seeds in one job, from 1 to [MaxChunk]. Default: 1000. The report does
	// not depend on it.
	Chunk uint64
	// Progress, if set, is called after each chunk, by one goroutine at a time.
	Progress func(Progress)
}

// Progress is how far a campaign has come.
type Progress struct {
	Chunks, ChunksDone int
	Runs               int
	// Retries is the number of times that a chunk was handed out again.
	Retries uint64
	// Last is the chunk that has just finished.
	Last *Finished
	// Outcomes are those found until now, the most frequent first.
	Outcomes []Outcome
}

// Explored is the end of a campaign.
type Explored struct {
	// Report is the same that [explore.Run] gives for the same seeds.
	Report *explore.Report
	// Jobs is the number of jobs, Retries that of the times that one was handed out again.
	Jobs    int
	Retries uint64
}

// Explore splits the seeds into jobs, merges the outcomes as they come, and then shrinks the
// schedules of the outcomes in this process.
//
// Errors: *[AsideError] if a chunk was set aside; those of [explore.Run].
func (c *Client) Explore(ctx context.Context, campaign Campaign) (*Explored, error) {
	j, chunk := campaign.Job, campaign.Chunk
	if chunk == 0 {
		chunk = 1000
	}
	switch err := j.Validate(); {
	case err != nil:
		return nil, err
	case j.Seeds == nil:
		return nil, errors.New("explore: the job has no seeds: set Seeds")
	case chunk > MaxChunk:
		return nil, fmt.Errorf("explore: %d seeds in a job: want at most %d", chunk, MaxChunk)
	}
	p := Progress{Chunks: int((j.Seeds.Last-j.Seeds.First)/chunk) + 1}
	finished := make(chan *Finished)
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(256)
	go func() {
		defer close(finished)
		for n := range p.Chunks {
			part := j
			first := j.Seeds.First + uint64(n)*chunk
			part.Seeds = &Range{First: first, Last: first + min(chunk-1, j.Seeds.Last-first)}
			if gctx.Err() != nil {
				break
			}
			group.Go(func() error {
				f, err := c.Run(gctx, part)
				if err != nil {
					return err
				}
				select {
				case finished <- f:
					return nil
				case <-gctx.Done():
					return context.Cause(gctx)
				}
			})
		}
		group.Wait()
	}()
	for f := range finished {
		p.Last = f
		p.ChunksDone++
		p.Retries += f.Tries - 1
		p.Outcomes = merge(p.Outcomes, f.Result.Outcomes)
		p.Runs = 0
		for _, o := range p.Outcomes {
			p.Runs += o.Seeds
		}
		if campaign.Progress != nil {
			campaign.Progress(p)
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	report, err := c.shrink(ctx, j, p)
	if err != nil {
		return nil, err
	}
	return &Explored{Report: report, Jobs: p.Chunks, Retries: p.Retries}, nil
}

// shrink runs the lowest seed of each outcome again, which gives its text and its shortest
// schedule, and puts the numbers of the whole campaign beside them.
func (c *Client) shrink(ctx context.Context, j Job, p Progress) (*explore.Report, error) {
	wasm, err := c.Get(ctx, j.Module)
	if err != nil {
		return nil, err
	}
	e := NewExecutor(c)
	defer e.Close(context.WithoutCancel(ctx))
	config, err := e.exploration(ctx, j, wasm)
	if err != nil {
		return nil, err
	}
	for _, o := range p.Outcomes {
		config.Seeds = append(config.Seeds, o.Seed)
	}
	report, err := explore.Run(ctx, config)
	if err != nil {
		return nil, err
	}
	if len(report.Outcomes) != len(p.Outcomes) {
		return nil, fmt.Errorf("explore: the workers found %d outcomes, and their lowest seeds end in %d ways here: look at Status for workers whose results differ", len(p.Outcomes), len(report.Outcomes))
	}
	byName := map[string]*explore.Outcome{}
	for _, o := range report.Outcomes {
		byName[o.What+hex.EncodeToString(o.Output[:])] = o
	}
	report.Runs, report.Outcomes = p.Runs, nil
	for _, o := range p.Outcomes {
		here := byName[o.What+o.Output]
		if here == nil {
			return nil, fmt.Errorf("explore: seed %d ended with %q on a worker, and otherwise here: look at Status for workers whose results differ", o.Seed, o.What)
		}
		here.Seeds, here.Seed, here.By = o.Seeds, o.Seed, o.By
		report.Outcomes = append(report.Outcomes, here)
	}
	return report, nil
}
