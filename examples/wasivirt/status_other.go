//go:build !unix

package main

import "os"

// statusSignals are the signals that ask what the guests do: there is none here.
var statusSignals []os.Signal
