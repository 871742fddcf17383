package main

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"
)

const printed = `goos: linux
cpu: A Processor
BenchmarkPeers/memfs/path_open+fd_close/8         	 10000	  700 ns/op	  350.0 ns/call	 0 B/op
BenchmarkPeers/minimal/path_open+fd_close/8-2     	 10000	  500 ns/op	  250.0 ns/call	 0 B/op
BenchmarkPeers/memfs/path_open+fd_close/8         	 10000	  800 ns/op	  400.0 ns/call	 4000000 cpu-ns	 0 B/op
BenchmarkPeers/hostfs/path_open+fd_close/8        	 10000	 2200 ns/op	 1100.0 ns/call	 0 B/op
BenchmarkPeers/wasi-go/path_open+fd_close/8       	 10000	 2200 ns/op	 1200.0 ns/call	 0 B/op
BenchmarkPeers/hostfs/sched_yield                 	 10000	   50 ns/op	   50.0 ns/call	 0 B/op
BenchmarkPeers/wasi-go/sched_yield                	 10000	   40 ns/op	   40.0 ns/call	 0 B/op
BenchmarkInstantiate/wasivirt                     	   50	28000 ns/op	 27000 ns/call	 100 B/op
BenchmarkPeers/memfs/path_open+fd_close/8         	 1	  90000 ns/op	  90000 ns/call	 90000 cpu-ns	 0 B/op
BenchmarkTyped/wazero/text                        	   500	 27000 ns/op	 100 B/op
BenchmarkThreads/memfs/1_threads:_read-2          	   500	 100 ns/op	 100 ns/call	 100 wall-ns/call
BenchmarkThreads/memfs/2_threads:_read-2          	   500	 55 ns/op	 104 ns/call	 55 wall-ns/call
PASS
`

func TestTheTableHasTheLeastOfEachCellAndMarksWhatMissesItsAim(t *testing.T) {
	table, err := parse(strings.NewReader(printed))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	table.markdown(&b)
	for _, want := range []string{
		"A Processor. Nanoseconds of processor time a call",
		"| path_open+fd_close/8 | 350 | 250 | 1,100 | 1,200 | | | **1.40** | 0.92 | 14 % |",
		"| sched_yield | | | 50 | 40 | | | | 1.25 | 0 % |", // uses no file of the mount
		"| text | | | | | | 27,000 | | | 0 % |",
		"| read | memfs | | | 1.92 | 1.82 |",
		"| instantiate | | | | | 27,000 | | | | 0 % |",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}

func TestThePlotIsWellFormedAndHasADotForEachCell(t *testing.T) {
	table, err := parse(strings.NewReader(printed))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	table.plot(&b)
	dots := 0
	for d := xml.NewDecoder(strings.NewReader(b.String())); ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "title" {
			dots++
		}
	}
	if dots != 6 {
		t.Errorf("%d dots, want 6", dots)
	}
}
