//go:build wasip1

// Extism greets: the guest of the benchmark Typed for extism, whose structs are JSON.
package main

import "github.com/extism/go-pdk"

type request struct {
	ID     uint64
	Name   string
	Urgent bool
}

type reply struct {
	ID      uint64
	Message string
}

//go:wasmexport greet
func greet() int32 {
	pdk.OutputString("Good morning, " + pdk.InputString())
	return 0
}

//go:wasmexport greet_request
func greetRequest() int32 {
	var r request
	if err := pdk.InputJSON(&r); err != nil {
		pdk.SetError(err)
		return 1
	}
	if err := pdk.OutputJSON(reply{r.ID + 1, "Good morning, " + r.Name}); err != nil {
		pdk.SetError(err)
		return 1
	}
	return 0
}

func main() {}
