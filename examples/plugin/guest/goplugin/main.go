//go:build wasip1

// The plugin in Go, built with -buildmode=c-shared.
package main

import (
	"errors"
	"slices"
	"strings"
	"structs"

	"github.com/wasivirt/wasivirt/virt/plugin/pdk"
)

func main() {}

//go:wasmexport name
func name() uint64 { return pdk.String("Go") }

//go:wasmexport reverse
func reverse(text string) uint64 {
	if text == "" {
		return pdk.Error(errors.New("nothing to reverse"))
	}
	letters := []rune(text)
	slices.Reverse(letters)
	return pdk.String(string(letters))
}

// result is the host's Stats.
type result struct {
	_            structs.HostLayout
	words        uint32
	longest, len uint32 // a string is a pointer and a length
}

//go:wasmexport stats
func stats(text string) uint64 {
	longest := ""
	words := strings.Fields(text)
	for _, word := range words {
		if len(word) > len(longest) {
			longest = word
		}
	}
	r := &result{words: uint32(len(words))}
	r.longest, r.len = pdk.Pin([]byte(longest))
	return pdk.Value(r)
}
