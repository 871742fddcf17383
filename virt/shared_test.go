package virt_test

import "github.com/wasivirt/wasivirt/internal/testcache"

// shared is the option of a Host that compiles a large guest, as another test may have done: its
// code is compiled once. Compiling one with the race detector takes many seconds.
var shared = testcache.Option()
