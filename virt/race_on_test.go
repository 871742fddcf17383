//go:build race

package virt_test

// raceDetector tells that the race detector watches. In the interpreter it sees guest memory, of
// which guests may make what they like.
const raceDetector = true
