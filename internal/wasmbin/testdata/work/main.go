// Command work hashes, sorts and encodes for a while, and prints what came out
// of it. Its arguments are how many rounds, and how many numbers are sorted in
// each (1,400 or more).
package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"sort"
	"strconv"
)

type record struct {
	ID    int            `json:"id"`
	Name  string         `json:"name"`
	Tags  []string       `json:"tags"`
	Score map[string]int `json:"score"`
}

func main() {
	rounds := 3
	if len(os.Args) > 1 {
		rounds, _ = strconv.Atoi(os.Args[1])
	}
	size := 20_000
	if len(os.Args) > 2 {
		size, _ = strconv.Atoi(os.Args[2])
	}
	var sum uint32
	hash := sha256.New()
	state := uint64(1)
	for range rounds {
		numbers := make([]int, size)
		for i := range numbers {
			state = state*6364136223846793005 + 1442695040888963407
			numbers[i] = int(state >> 33)
		}
		sort.Ints(numbers)
		records := make([]record, 200)
		for i := range records {
			records[i] = record{
				ID: numbers[i], Name: "name " + strconv.Itoa(numbers[i*7]),
				Tags:  []string{"a", "b", strconv.Itoa(i)},
				Score: map[string]int{"x": i, "y": numbers[i+1]},
			}
		}
		text, err := json.Marshal(records)
		if err != nil {
			panic(err)
		}
		var back []record
		if err := json.Unmarshal(text, &back); err != nil {
			panic(err)
		}
		for range size / 1000 {
			hash.Write(text)
			sum = crc32.Update(sum, crc32.IEEETable, text)
		}
		sum += uint32(len(back))
	}
	fmt.Printf("%x %x\n", hash.Sum(nil), sum)
}
