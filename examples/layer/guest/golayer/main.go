//go:build wasip1

// Golayer is the part of layer.c that writes in capitals, in Go.
package main

import (
	"bytes"
	"runtime"
	"unsafe"
)

const efault = 21

//go:wasmimport wasivirt_plug read
func guestRead(from, n uint32, to unsafe.Pointer) uint32

//go:wasmimport wasivirt_plug write
func guestWrite(to uint32, from unsafe.Pointer, n uint32) uint32

//go:wasmimport wasivirt_next fd_write
func next(fd, iovs, n, nwritten uint32) uint32

//go:wasmimport wasi_snapshot_preview1 fd_write
func write(fd uint32, iovs unsafe.Pointer, n uint32, nwritten unsafe.Pointer) uint32

//go:wasmexport fd_write
func layer(fd, iovs, n, nwritten uint32) uint32 {
	var one struct{ buf, len uint32 }
	if fd != 1 || n == 0 {
		return next(fd, iovs, n, nwritten)
	}
	if guestRead(iovs, 8, unsafe.Pointer(&one)) != 0 {
		return efault
	}
	text := make([]byte, min(one.len, 4096)) // the guest writes the rest again
	if guestRead(one.buf, uint32(len(text)), unsafe.Pointer(unsafe.SliceData(text))) != 0 {
		return efault
	}
	text = bytes.ToUpper(text)
	vector := [2]uint32{uint32(uintptr(unsafe.Pointer(unsafe.SliceData(text)))), uint32(len(text))}
	var written uint32
	errno := write(fd, unsafe.Pointer(&vector), 1, unsafe.Pointer(&written))
	runtime.KeepAlive(text)
	if errno != 0 {
		return errno
	}
	return guestWrite(nwritten, unsafe.Pointer(&written), 4)
}

func main() {}
