// Command files is files.c in Go: it writes files into directories, walks them, reads and hashes
// what it finds, and removes all.
package main

import (
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"strconv"
)

func main() {
	n := 1000
	if len(os.Args) > 1 {
		n, _ = strconv.Atoi(os.Args[1])
	}
	root := ""
	if len(os.Args) > 2 {
		root = os.Args[2]
	}
	if err := run(n, root); err != nil {
		fmt.Fprintln(os.Stderr, "files:", err)
		os.Exit(1)
	}
}

func run(n int, root string) error {
	buf := make([]byte, 4096)
	for i := range n {
		dir := fmt.Sprint(root, "/g", i/100)
		if i%100 == 0 {
			if err := os.Mkdir(dir, 0o777); err != nil {
				return err
			}
		}
		p := buf[:64+i*37%(len(buf)-64)]
		for j := range p {
			p[j] = byte(i)
		}
		if err := os.WriteFile(fmt.Sprint(dir, "/file", i), p, 0o666); err != nil {
			return err
		}
	}
	found, sum := 0, uint64(0)
	err := fs.WalkDir(os.DirFS(root+"/"), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(root + "/" + path)
		if err != nil {
			return err
		}
		h := fnv.New64a()
		h.Write(content)
		sum += h.Sum64()
		found++
		return nil
	})
	if err != nil {
		return err
	}
	for i := 0; i < n; i += 100 {
		if err := os.RemoveAll(fmt.Sprint(root, "/g", i/100)); err != nil {
			return err
		}
	}
	if found != n {
		return fmt.Errorf("%d files of %d", found, n)
	}
	fmt.Printf("%016x\n", sum)
	return nil
}
