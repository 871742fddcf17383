package main

import (
	"context"
	"fmt"

	"github.com/wasivirt/wasivirt/virt"
)

// The interpreter starts sooner than the compiler has compiled package net/http.
func Example() {
	if err := run(context.Background(), virt.WithInterpreter()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 200 OK
	// hello, gopher
}
