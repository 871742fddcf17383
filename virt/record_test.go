package virt_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/wasivirt/wasivirt/vfs/hostnet"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/replay"
)

// A server on the machine's clock, network and directory is replayed without any of them.
func TestReplayServer(t *testing.T) {
	requests := sized(50, 1000)
	wasm := goGuest(t, "taped")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "page.txt"), bytes.Repeat([]byte("page "), 100), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := newHost(t, shared, virt.WithMount("/data", hostDir(t, dir)))
	m := compiled(t, host, wasm)
	var tape, out bytes.Buffer
	answered := make(chan error, 1)
	go func() {
		client := &http.Client{}
		defer client.CloseIdleConnections()
		for i := range requests {
			r, err := client.Get(fmt.Sprintf("http://%s/%d", l.Addr(), i))
			if err == nil {
				_, err = io.Copy(io.Discard, r.Body)
				r.Body.Close()
			}
			if err != nil {
				answered <- fmt.Errorf("request %d: %w", i, err)
				return
			}
		}
		answered <- nil
	}()
	began := time.Now()
	result, err := host.RunModule(t.Context(), m, virt.WithArgs("serve", fmt.Sprint(requests)), virt.WithRecording(&tape),
		virt.WithPreopened(hostnet.NewListener(l)), virt.WithStdout(&out), virt.WithStderr(&out))
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if !result.Success() {
		t.Fatalf("%v\n%s", result, out.String())
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	player, err := replay.NewPlayer(t.Context(), wasm, bytes.NewReader(tape.Bytes()), virt.WithStdout(&again), virt.WithStderr(&again), shared)
	if err != nil {
		t.Fatal(err)
	}
	defer player.Close(t.Context())
	began = time.Now()
	if result, err = player.Play(t.Context(), bytes.NewReader(tape.Bytes())); err != nil || !result.Success() {
		t.Fatalf("replay: %v, %v", result, err)
	}
	t.Logf("%d requests: %v, replayed in %v; %d bytes recorded", requests, took, time.Since(began), tape.Len())
	if again.String() != out.String() {
		t.Errorf("the replay printed\n%s\nwant\n%s", again.String(), out.String())
	}
}

// BenchmarkRecording is a guest that writes, walks and hashes 10,000 files: as it is, recorded,
// hashed and replayed.
func BenchmarkRecording(b *testing.B) {
	wasm := goGuest(b, "taped")
	const files = 10_000
	host := newHost(b)
	m := compiled(b, host, wasm)
	run := func(opts ...virt.GuestOption) *virt.Result {
		data := memfs.New()
		result, err := host.RunModule(b.Context(), m, append(opts, virt.WithArgs("files", fmt.Sprint(files)), virt.WithMount("/data", data))...)
		if err != nil || !result.Success() {
			b.Fatal(result, err)
		}
		return result
	}
	b.Run("plain", func(b *testing.B) {
		for b.Loop() {
			run()
		}
	})
	var tape bytes.Buffer
	b.Run("recorded", func(b *testing.B) {
		for b.Loop() {
			tape.Reset()
			run(virt.WithRecording(&tape))
		}
		calls, written, err := virt.Calls(tape.Bytes())
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(tape.Len()-written)/float64(calls), "B/call")
		b.ReportMetric(float64(written)/float64(calls), "content-B/call")
	})
	b.Run("hashed", func(b *testing.B) {
		for b.Loop() {
			run(virt.WithHash())
		}
	})
	b.Run("replayed", func(b *testing.B) {
		player, err := replay.NewPlayer(b.Context(), wasm, bytes.NewReader(tape.Bytes()))
		if err != nil {
			b.Fatal(err)
		}
		defer player.Close(b.Context())
		for b.Loop() {
			if _, err := player.Play(b.Context(), bytes.NewReader(tape.Bytes())); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// The Result that Guest.Run returns has the hash.
func TestRunReturnsTheHash(t *testing.T) {
	for _, opts := range [][]virt.Option{nil, {virt.Deterministic(1)}} {
		host := newHost(t, opts...)
		g := newGuest(t, host, compiled(t, host, bareGuest(t, "do")), virt.WithHash())
		if r, err := g.Run(t.Context()); err != nil || r.Hash == [32]byte{} || r.Hash != g.Result().Hash {
			t.Errorf("%v, %v, later %v", r, err, g.Result())
		}
	}
}
