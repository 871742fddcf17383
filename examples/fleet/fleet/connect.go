package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The names under which JetStream keeps a fleet, and the subjects of its queue.
const (
	streamName  = "JOBS"
	durable     = "workers"
	resultsName = "RESULTS"
	asideName   = "ASIDE"
	differName  = "DIFFERENCES"
	workersName = "WORKERS"
	objectsName = "OBJECTS"

	jobSubject    = "fleet.jobs."
	verifySubject = "fleet.verify."
)

// Config says how to reach a fleet. The settings of the queue take effect for whoever connects
// first.
type Config struct {
	// URL is that of a NATS server, or several, separated by commas. Default:
	// nats://127.0.0.1:4222.
	URL string
	// NATS holds options of the connection: credentials, tokens, TLS.
	NATS []nats.Option
	// Replicas is the number of servers of a cluster that keep each message. Default: 1.
	Replicas int
	// AckWait is the time without a sign of life after which a job goes to another worker. Default:
	// 30 s.
	AckWait time.Duration
	// MaxQueued is the number of jobs that the queue holds. Submit waits while it is full.
	// Default: 1,000,000.
	MaxQueued int64
}

// Client speaks to a fleet. It may be used by any number of goroutines. It reconnects by itself
// when the server restarts.
type Client struct {
	config   Config
	nc       *nats.Conn
	js       jetstream.JetStream
	stream   jetstream.Stream
	results  jetstream.KeyValue
	aside    jetstream.KeyValue
	differ   jetstream.KeyValue
	workers  jetstream.KeyValue
	objects  jetstream.ObjectStore
	finished *finishedWatch

	maxObject int64 // lower in tests
}

// Connect returns a Client, after it has made what the fleet keeps in JetStream if that is missing.
func Connect(ctx context.Context, c Config) (*Client, error) {
	if c.URL == "" {
		c.URL = nats.DefaultURL
	}
	if c.Replicas == 0 {
		c.Replicas = 1
	}
	if c.AckWait == 0 {
		c.AckWait = 30 * time.Second
	}
	if c.MaxQueued == 0 {
		c.MaxQueued = 1_000_000
	}
	opts := append([]nats.Option{
		nats.Name("wasivirt fleet"), nats.MaxReconnects(-1), nats.ReconnectWait(250 * time.Millisecond),
		nats.IgnoreDiscoveredServers(), nats.PingInterval(5 * time.Second), nats.MaxPingsOutstanding(2),
	}, c.NATS...)
	nc, err := nats.Connect(c.URL, opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS at %s: %w: start a server with fleet serve, or name one with -nats", c.URL, err)
	}
	client := &Client{config: c, nc: nc, maxObject: MaxObject}
	if err := client.prepare(ctx); err != nil {
		nc.Close()
		return nil, fmt.Errorf("prepare the fleet at %s: %w", c.URL, err)
	}
	client.finished = watchFinished(client)
	return client, nil
}

// prepare makes the stream, its consumer, the buckets and the object store. A server that has just
// started, or a cluster that has no leader yet, is asked again until ctx ends.
func (c *Client) prepare(ctx context.Context) (err error) {
	if c.js, err = jetstream.New(c.nc); err != nil {
		return err
	}
	for {
		if err = c.prepareOnce(ctx); err == nil || !passes(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(250 * time.Millisecond):
		}
	}
}

func (c *Client) prepareOnce(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	// What is there already keeps its settings.
	if c.stream, err = c.js.Stream(ctx, streamName); errors.Is(err, jetstream.ErrStreamNotFound) {
		c.stream, err = c.js.CreateStream(ctx, jetstream.StreamConfig{
			Name: streamName, Description: "jobs that wait or run", Subjects: []string{jobSubject + ">", verifySubject + ">"},
			Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew, MaxMsgs: c.config.MaxQueued,
			Storage: jetstream.FileStorage, Replicas: c.config.Replicas, AllowDirect: true,
		})
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			c.stream, err = c.js.Stream(ctx, streamName)
		}
	}
	if err != nil {
		return err
	}
	if _, err = c.stream.Consumer(ctx, durable); errors.Is(err, jetstream.ErrConsumerNotFound) {
		_, err = c.stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
			Durable: durable, AckPolicy: jetstream.AckExplicitPolicy, AckWait: c.config.AckWait, MaxAckPending: 10_000,
		})
	}
	if err != nil {
		return err
	}
	for _, b := range []struct {
		to  *jetstream.KeyValue
		cfg jetstream.KeyValueConfig
	}{
		// Two values a key: a second result for a job would be seen. See Status.Doubled.
		{&c.results, jetstream.KeyValueConfig{Bucket: resultsName, Description: "results by job", History: 2}},
		{&c.aside, jetstream.KeyValueConfig{Bucket: asideName, Description: "jobs that no worker could finish"}},
		{&c.differ, jetstream.KeyValueConfig{Bucket: differName, Description: "jobs with different results"}},
		{&c.workers, jetstream.KeyValueConfig{Bucket: workersName, Description: "workers that live", TTL: workerTTL}},
	} {
		if *b.to, err = c.js.KeyValue(ctx, b.cfg.Bucket); errors.Is(err, jetstream.ErrBucketNotFound) {
			b.cfg.Replicas = c.config.Replicas
			if *b.to, err = c.js.CreateKeyValue(ctx, b.cfg); errors.Is(err, jetstream.ErrBucketExists) {
				*b.to, err = c.js.KeyValue(ctx, b.cfg.Bucket)
			}
		}
		if err != nil {
			return err
		}
	}
	if c.objects, err = c.js.ObjectStore(ctx, objectsName); errors.Is(err, jetstream.ErrBucketNotFound) {
		c.objects, err = c.js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{
			Bucket: objectsName, Description: "modules, trees, outputs and recordings by SHA-256", Replicas: c.config.Replicas,
		})
		if errors.Is(err, jetstream.ErrBucketExists) {
			c.objects, err = c.js.ObjectStore(ctx, objectsName)
		}
	}
	return err
}

// Close ends the connection.
func (c *Client) Close() {
	c.finished.close()
	c.nc.Close()
}

// passes reports whether an error of the server may go away by itself: it is not there, it
// restarts, its cluster has no leader, its disk is full.
func passes(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.Code == 500 || api.Code == 503
	}
	for _, e := range []error{
		nats.ErrTimeout, nats.ErrNoResponders, nats.ErrConnectionReconnecting, nats.ErrDisconnected, nats.ErrConnectionClosed,
		jetstream.ErrNoStreamResponse, jetstream.ErrNoHeartbeat, jetstream.ErrServerShutdown, jetstream.ErrConsumerLeadershipChanged,
		context.DeadlineExceeded,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// again calls f until it succeeds, fails for good, or ctx ends.
func again(ctx context.Context, f func(context.Context) error) error {
	wait := 50 * time.Millisecond
	for {
		try, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := f(try)
		cancel()
		if err == nil || !passes(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(wait):
		}
		wait = min(2*wait, 2*time.Second)
	}
}
