package fleet

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// ServerConfig describes a NATS server inside this process.
type ServerConfig struct {
	// Dir keeps the data.
	Dir string
	// Host and Port are where the server listens. Default: 127.0.0.1 and 4222. Port -1 takes any
	// free port.
	Host string
	Port int
	// File is a configuration file of NATS: accounts, users, tokens, TLS, cluster, limits. Its
	// settings come first; Dir, Host and Port count where it is silent.
	File string
	// Name and Cluster make the server part of a cluster with the given routes.
	Name    string
	Cluster *Cluster
	// MaxDisk bounds the data, in bytes. Default: what the disk has.
	MaxDisk int64
	// Sync writes each message to the disk before it is acknowledged. Without it, a loss of power
	// (not of the process) can lose the last seconds.
	Sync bool
}

// Cluster is what a server needs to find the others.
type Cluster struct {
	Name   string
	Host   string
	Port   int
	Routes string // URLs, separated by commas
}

// Server is a NATS server inside this process.
type Server struct{ nats *server.Server }

// StartServer starts a server and returns when it answers.
func StartServer(c ServerConfig) (*Server, error) {
	opts := &server.Options{}
	if c.File != "" {
		var err error
		if opts, err = server.ProcessConfigFile(c.File); err != nil {
			return nil, fmt.Errorf("NATS configuration %s: %w", c.File, err)
		}
	}
	opts.JetStream, opts.NoSigs, opts.NoLog = true, true, true
	if opts.StoreDir == "" {
		opts.StoreDir = c.Dir
	}
	if opts.StoreDir == "" {
		return nil, errors.New("start a server: no directory for its data: set Dir, or store_dir in its file")
	}
	if opts.Host == "" {
		opts.Host = c.Host
	}
	if opts.Host == "" {
		opts.Host = "127.0.0.1"
	}
	if opts.Port == 0 {
		opts.Port = c.Port
	}
	if opts.JetStreamMaxStore == 0 && c.MaxDisk > 0 {
		opts.JetStreamMaxStore = c.MaxDisk
	}
	if c.Sync {
		opts.SyncAlways = true
	}
	if c.Name != "" {
		opts.ServerName = c.Name
	}
	if c.Cluster != nil {
		opts.Cluster = server.ClusterOpts{Name: c.Cluster.Name, Host: c.Cluster.Host, Port: c.Cluster.Port}
		opts.Routes = server.RoutesFromStr(c.Cluster.Routes)
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("start a server: %w", err)
	}
	s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		s.Shutdown()
		return nil, fmt.Errorf("start a server: it did not answer at %s:%d within 30 s: is the port in use?", opts.Host, opts.Port)
	}
	return &Server{s}, nil
}

// URL is where the server listens.
func (s *Server) URL() string { return s.nats.ClientURL() }

// Close stops the server and returns when its data is written.
func (s *Server) Close() {
	s.nats.Shutdown()
	s.nats.WaitForShutdown()
}
