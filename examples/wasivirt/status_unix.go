//go:build unix

package main

import (
	"os"
	"syscall"
)

// statusSignals are the signals that ask what the guests do.
var statusSignals = []os.Signal{syscall.SIGUSR1}
