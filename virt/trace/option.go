package trace

import "github.com/wasivirt/wasivirt/wasip1"

// Show says which calls a trace shows, and how much of them. Options change it.
type Show struct {
	Calls    string         // a pattern of functions
	Paths    []string       // patterns of files; nil shows calls about any file and about none
	Errnos   []wasip1.Errno // answers; nil shows any
	Failed   bool           // failed calls only
	Bytes    int            // of content
	RealTime bool           // times are the machine's
}

// Option changes what a trace shows. Defaults: all calls, the first 32 bytes of content, times of
// the Host's clock.
type Option func(*Show)

// WithCalls shows only the functions that match names; see virt.WithMiddleware.
func WithCalls(match string) Option { return func(s *Show) { s.Calls = match } }

// WithPaths shows only calls that are about a file that one of the patterns matches; see
// virt.Call.Paths and virt.Allow.
func WithPaths(patterns ...string) Option { return func(s *Show) { s.Paths = patterns } }

// WithErrnos shows only calls that answer one of the errnos. ESUCCESS may be among them.
func WithErrnos(errnos ...wasip1.Errno) Option { return func(s *Show) { s.Errnos = errnos } }

// WithErrors shows only calls that fail.
func WithErrors() Option { return func(s *Show) { s.Failed = true } }

// WithBytes shows the first n bytes of content.
func WithBytes(n int) Option { return func(s *Show) { s.Bytes = n } }

// WithRealTime takes times from the machine's clock instead of the Host's.
func WithRealTime() Option { return func(s *Show) { s.RealTime = true } }
