// Package stdio makes standard streams for guests from any io.Reader and io.Writer. Each is a
// [vfs.Stream]. There are also buffers, sinks and terminals.
//
// A Stream never waits; an io.Reader or io.Writer may. [Reader] and [Writer] use the first of these
// ways that the value allows:
//
//   - directly: the guest's own thread calls values that do not wait (a bytes.Buffer, a
//     strings.Reader, a regular file, /dev/null, and those given with [WithDirect]).
//   - by the descriptor, on Linux: pipes, terminals, FIFOs and connections of the system are read
//     and written without waiting. A write that succeeded has reached the system. No byte is taken
//     from the system before a guest reads it. Standard streams in blocking mode are opened a
//     second time, because changing the mode of the process's own descriptors would affect others.
//   - by a goroutine: all other values (an io.Pipe, a TLS connection, a type of the embedder's).
//
// The rules for the goroutine:
//
//   - It belongs to the stream. It exists only while a call of Read or Write is under way.
//   - Input is read ahead only if a guest reads or polls and the buffer is empty. If the guest is
//     canceled, the bytes stay in the stream for its next reader; [Input.Buffered] shows them.
//   - Output goes into a buffer of 64 KiB ([WithBuffer]). A write succeeds when its bytes are in
//     the buffer. The goroutine writes them in order, the bytes of one write together.
//     [Output.Flush] waits until the buffer has been written; the Host calls it at a guest's end
//     and for fd_sync. Close does not drop the buffer. An error of the writer is returned once, by
//     the next write or flush.
//   - Two outputs in one [Group] share a goroutine, so that what a guest prints to both comes out
//     in the order in which it was printed.
//
// A stream is closed with its last descriptor. If several guests use it in turn, give each
// [Shared] of it, and close it yourself. Closing a stream closes the reader or writer below only
// with [WithOwnership]. A call under way ends if the reader or writer has deadlines. Otherwise (a
// blocked io.Pipe) the goroutine ends when that call returns; ending it is up to the embedder.
//
// Lock order: the lock of a Group or of a stream, then that of a [poll.Queue]. Readers and writers
// are never called with the lock of a goroutine's stream held.
package stdio
