// Package pdk is the guest's side of package plugin for programs in Go, built by
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared
//
// It exports malloc and free, with which the host passes parameters and takes results. An export
// takes strings as Go strings. It returns what String, Bytes, Value or Error return; the host gets
// that as a Go value:
//
//	//go:wasmexport greet
//	func greet(name string) uint64 { return pdk.String("hello, " + name) }
//
// All its functions are for wasip1: GOOS=wasip1 GOARCH=wasm go doc shows them.
//
// A string parameter is not copied. Its memory stays valid as long as the string is used.
//
// Results of imported functions ([plugin.HostFunc]) are read by [TakeString] and [TakeBytes]. A
// slice parameter of an export is two parameters, a pointer and a length, which [Slice] joins.
//
// [plugin.HostFunc]: https://pkg.go.dev/github.com/wasivirt/wasivirt/virt/plugin#HostFunc
package pdk
