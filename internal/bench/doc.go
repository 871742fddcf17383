// Package bench holds benchmarks that need more than the library may depend on: other hosts of WASI, side by side with this
// one. It is a module of its own, so that who imports the library gets none of them.
package bench
