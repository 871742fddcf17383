// Package stdio makes standard streams for guests, each a vfs.Stream: from any io.Reader and
// io.Writer, buffers, sinks and terminals.
//
// A Stream never waits, but an io.Reader and an io.Writer may. Reader and Writer choose the best of
// three ways that a value allows:
//
//   - directly: what is known not to wait (a bytes.Buffer, a strings.Reader, a regular
//     file, /dev/null, whatever is given with [WithDirect]) is called by the guest's own thread.
//   - by the descriptor, on Linux: pipes, terminals, FIFOs and connections of the system are read
//     and written without waiting. A write that succeeded has reached the system, and not a byte is
//     taken from the system before a guest takes it. Standard streams that are in blocking mode are
//     opened a second time for it, so that the process's own descriptors stay as they are.
//   - by a goroutine, for everything else (an io.Pipe, a TLS connection, a type of the embedder's).
//
// The rules for the goroutine:
//
//   - It belongs to the stream and lives only while one call of Read or Write (or a
//     row of Writes) is under way; an idle stream has none.
//   - Input is read ahead only when a guest asked, by a read or a poll, and there is nothing left
//     of the last time. What was read stays in the stream when the guest is cancelled, for the next
//     reader of the same stream; [Input.Buffered] shows it.
//   - Output goes into a buffer of 64 KiB (WithBuffer). The goroutine passes each write on whole
//     and in order. A write that succeeded is in the buffer. Output.Flush waits until the buffer
//     has been written; the Host calls it at a guest's end and for fd_sync. Close drops nothing.
//     The next write or flush returns an error of the writer, once.
//   - Two outputs in one [Group] share the goroutine, so that what a guest prints to both comes
//     out in the order in which it was printed.
//
// A stream is closed with its last descriptor. One that several guests use in turn is handed out by
// [Shared] and closed by its owner. Closing a stream does not close the reader or writer below
// unless it was given with [WithOwnership], but it ends a call under way where that has deadlines.
// Where it has none (a blocked io.Pipe), the goroutine ends with that call, which is the embedder's
// to end.
//
// Lock order: the lock of a Group or of a stream, then that of a [poll.Queue]. Readers and writers
// are never called with the lock of a goroutine's stream held.
package stdio
