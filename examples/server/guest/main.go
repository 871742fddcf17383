//go:build wasip1

// The guest answers requests of one line each. Some of them are what a tenant would send who means
// harm, and "look" tells whatever it can find of earlier requests.
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"github.com/wasivirt/wasivirt/virt/plugin/pdk"
)

// words is what takes time to make: the reason to start once.
var words = func() map[string]int {
	m := map[string]int{}
	for i := range 5_000 {
		m[fmt.Sprint("word", i)] = i
	}
	return m
}()

var (
	served  int
	planted []string
	session = token() // drawn when the guest starts, and again in each fork
)

func token() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

// reseed draws again what was drawn before the snapshot.
//
//go:wasmexport wasivirt_reseed
func reseed() { session = token() }

//go:wasmexport handle
func handle(request string) uint64 {
	served++
	verb, text, _ := strings.Cut(request, " ")
	switch verb {
	case "hello":
		return pdk.String(fmt.Sprintf("hello, %s: %d words", text, len(words)))
	case "session":
		return pdk.String(session)
	case "plant":
		planted = append(planted, mark()+text)
		if err := os.WriteFile("/tmp/planted", []byte(mark()+text), 0o666); err != nil {
			return pdk.Error(err)
		}
		if err := os.Setenv("PLANTED", text); err != nil {
			return pdk.Error(err)
		}
		return pdk.String("planted")
	case "look":
		return pdk.String(look())
	case "loop":
		for {
			served++
		}
	case "memory":
		var all [][]byte
		for {
			all = append(all, make([]byte, 1<<20))
		}
	case "disk":
		for i := 0; ; i++ {
			if err := os.WriteFile(fmt.Sprint("/tmp/", i), make([]byte, 1<<16), 0o666); err != nil {
				return pdk.Error(err)
			}
		}
	case "print":
		for {
			fmt.Println(strings.Repeat("x", 1000))
		}
	case "panic":
		panic("asked for")
	case "exit":
		os.Exit(3)
	}
	return pdk.Error(fmt.Errorf("unknown request %q", verb))
}

// key is what planted texts begin with, encoded: the program itself holds it nowhere.
var key = []byte{0x05 ^ 0x55, 0x39 ^ 0x55, 0x3b ^ 0x55, 0x21 ^ 0x55, 0x11 ^ 0x55, 0x68 ^ 0x55, 0x0f ^ 0x55, 0x77 ^ 0x55}

func mark() string {
	b := bytes.Clone(key)
	for i := range b {
		b[i] ^= 0x55
	}
	return string(b)
}

// look tells how many requests were served, and where something planted is: in memory, in files, in
// the environment.
func look() string {
	found := []string{fmt.Sprintf("served=%d", served)}
	end := uintptr(unsafe.Pointer(unsafe.SliceData(make([]byte, 1<<16)))) // nothing reads above the last of the heap
	n := 0
	for at := uintptr(4096); at+16 < end; at += 8 {
		if word(at) == 0 {
			continue // most of it
		}
		for i := range uintptr(8) {
			if isMark(at + i) {
				n++
			}
		}
	}
	found = append(found, fmt.Sprintf("memory=%d", n))
	files, err := os.ReadDir("/tmp")
	if err != nil {
		found = append(found, err.Error())
	}
	found = append(found, fmt.Sprintf("files=%d", len(files)), fmt.Sprintf("env=%d", len(os.Getenv("PLANTED"))))
	return strings.Join(found, " ")
}

func word(at uintptr) uint64 { return *(*uint64)(unsafe.Add(unsafe.Pointer(nil), at)) }

func isMark(at uintptr) bool {
	if *(*byte)(unsafe.Add(unsafe.Pointer(nil), at)) != 0x05 {
		return false
	}
	for i, k := range key {
		if *(*byte)(unsafe.Add(unsafe.Pointer(nil), at+uintptr(i)))^0x55 != k {
			return false
		}
	}
	return true
}

func main() {}
