//go:build !race

package virt_test

const raceDetector = false
