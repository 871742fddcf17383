//go:build !linux

package main

import "time"

var began = time.Now()

// cpuTime returns the time that has passed: this system tells no processor time.
func cpuTime() time.Duration { return time.Since(began) }
