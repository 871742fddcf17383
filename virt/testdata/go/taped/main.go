// A guest whose runs are recorded: `taped serve N` answers N requests on descriptor 4 with what
// lies in /data, `taped files N` writes N files below /data, walks over them and prints their hash.
package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"
)

func main() {
	n, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	if os.Args[1] == "serve" {
		err = serve(int64(n))
	} else {
		err = files(n)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func serve(n int64) error {
	l, err := net.FileListener(os.NewFile(4, "listener"))
	if err != nil {
		return err
	}
	var served atomic.Int64
	done := make(chan bool)
	handler := func(w http.ResponseWriter, r *http.Request) {
		at := served.Add(1)
		page, err := os.ReadFile("/data/page.txt")
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, "%d %s %s", at, time.Now().Format(time.RFC3339Nano), page)
		fmt.Println(at, r.URL.Path, time.Now().UnixNano())
		if at == n {
			close(done)
		}
	}
	server := &http.Server{Handler: http.HandlerFunc(handler)}
	go server.Serve(l)
	<-done
	time.Sleep(10 * time.Millisecond) // the last answer is on its way
	return os.WriteFile("/data/served.txt", fmt.Append(nil, served.Load()), 0o644)
}

func files(n int) error {
	content := make([]byte, 4096)
	for i := range n {
		dir := fmt.Sprintf("/data/%d", i%100)
		if i < 100 {
			if err := os.Mkdir(dir, 0o777); err != nil {
				return err
			}
		}
		content[i%len(content)]++
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), content, 0o666); err != nil {
			return err
		}
	}
	h := sha256.New()
	err := filepath.WalkDir("/data", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(h, f)
		return err
	})
	fmt.Printf("%x\n", h.Sum(nil))
	return err
}
