package wasmbin

import (
	"runtime"

	"golang.org/x/sync/errgroup"
)

// Bodies are read and written in batches, as many at once as there are processors. What a batch
// yields is put together in the order of the batches, so that nothing depends on how many there are
// at once.

// batch is bodies that follow each other.
type batch struct {
	fn    uint32 // of the first
	n     int
	at    int // where the first begins, with its size
	bytes int
}

// batchBytes is about how much code is in a batch.
const batchBytes = 1 << 18

// worker is what one goroutine needs to read and write bodies.
type worker struct {
	bodies  *bodyReader
	emitter emitter
}

// batches divides the code section. Where the sizes of bodies are wrong it returns those before,
// and the error.
func (r *rewriter) batches() ([]batch, error) {
	s := r.section(secCode)
	if s == nil {
		return nil, nil
	}
	most := batchBytes
	if r.tune.batch > 0 {
		most = r.tune.batch
	}
	c := r.cursor(s)
	c.pos = s.vector
	var all []batch
	for i := range r.bodies {
		at := c.pos
		size := c.count("bytes of a body", 1)
		if c.err != nil {
			return all, c.err
		}
		c.pos += size
		if n := len(all) - 1; n < 0 || all[n].bytes >= most {
			all = append(all, batch{fn: uint32(r.importedFuncs + i), at: at})
		}
		b := &all[len(all)-1]
		b.n++
		b.bytes = c.pos - b.at
	}
	if c.pos != c.end {
		c.fail(c.pos, "%d bytes left over", c.end-c.pos)
		return all, c.err
	}
	return all, nil
}

// eachBatch calls f for each batch with a worker of its own, whose reader stands at the first body.
// It returns the error of the first batch that has one.
func (r *rewriter) eachBatch(all []batch, f func(w *worker, i int) error) error {
	workers := min(len(all), runtime.GOMAXPROCS(0))
	switch {
	case r.tune.emit != nil || r.tune.trace != nil:
		workers = min(len(all), 1)
	case r.tune.workers > 0:
		workers = r.tune.workers
	}
	free := make(chan *worker, workers)
	r.addWorkers(workers)
	for _, w := range r.workers[:workers] {
		free <- w
	}
	errs := make([]error, len(all))
	run := func(i int) {
		w := <-free
		w.bodies.seek(all[i].fn, all[i].at)
		errs[i] = f(w, i)
		free <- w
	}
	if workers <= 1 {
		for i := range all {
			if run(i); errs[i] != nil {
				return errs[i]
			}
		}
		return nil
	}
	var g errgroup.Group
	g.SetLimit(workers)
	for i := range all {
		g.Go(func() error { run(i); return nil })
	}
	_ = g.Wait() // each batch has an error of its own
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// addWorkers makes as many workers as are still missing.
func (r *rewriter) addWorkers(n int) {
	for len(r.workers) < n {
		r.workers = append(r.workers, &worker{bodies: r.newReader(), emitter: emitter{rewriter: r}})
	}
}

// newReader decodes bodies as the emitter wants them.
func (r *rewriter) newReader() *bodyReader {
	b := newBodyReader(r.Module)
	b.merge, b.accesses, b.nans = r.tune.emit == nil, r.opts.SharedAccess, r.opts.CanonicalNaNs
	return b
}
