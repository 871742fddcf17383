// Package recording is the format of a recording: what crossed between one guest and its Host, in
// order. It knows no Host and no guest: a [Table] tells it how many arguments each function has.
//
// A recording is a header and frames. The header is the magic, the version, a length and a
// checksum, and a [Header]. A frame is a head, of its length, checksum and the realtime of its
// beginning, and up to 64 KiB of the stream of events, which takes no notice of frames. A frame of
// length 0 ends the recording; its checksum is of the number of the bytes of all others. A [Writer]
// writes a frame when it is full or a second old, so that the file of a process that died can be
// read up to shortly before its end.
//
// The stream is a sequence of events; the first byte of each is an [Op]:
//
//	0..           call of the function in that row of the table: arguments, answer
//	Begin+row     its arguments alone, if something came before its answer
//	End           its answer
//	Switch        thread to, position of the thread that stopped
//	Export        name, parameters          Returned   results
//	Wrote         range, bytes              Refused    bytes that memory was not to have
//	Finish        how it ended, position
//	Fuel          fuel that a thread gets, if it is not the usual slice
//	Function      module, name: what the next number of Hosted stands for
//	Hosted        call of a function of the embedder's: number, parameters; its answer follows End, with results
//	              instead of the result
//	Output        stream, bytes: what the guest wrote to standard output (0) or error (1) before the next event
//
// Numbers are unsigned LEB128. An answer is the number of ranges read and the ranges; their CRC-32C
// if there are any; the result; of thread-spawn the thread; the number of ranges written, and each
// with its bytes. The pointer of a range is the zig-zag difference to the end of the last one. A
// position is the number of calls since the thread's last position, and its fuel.
package recording

import (
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"math"
	"slices"

	"github.com/wasivirt/wasivirt/memory"
)

const (
	magic     = "wasivrec"
	version   = 8
	frameSize = 64 << 10
	frameHead = 4 + 4 + 8
)

// Op is the first byte of an event. Below Begin it is the row of a call.
type Op uint8

// The events besides calls.
const (
	Begin    Op = 0x60
	End      Op = 0xc0
	Switch   Op = 0xc1
	Export   Op = 0xc2
	Returned Op = 0xc3
	Wrote    Op = 0xc4
	Refused  Op = 0xc5
	Finish   Op = 0xc6
	Function Op = 0xc7
	Hosted   Op = 0xc8
	Fuel     Op = 0xc9
	Output   Op = 0xca
)

// HostedRow stands for all functions of the embedder's.
const HostedRow = -1

// MaxArgs is how many arguments a function of the table has at most.
const MaxArgs = 12

// Table says of each function how many arguments it has, by its row; less than 0 where it is never
// recorded. It has at most Begin rows.
type Table struct {
	Widths []int
	// Spawn is the row of thread-spawn, whose answer has the thread's number.
	Spawn int
}

// Header is what has to be the same where a recording is replayed.
type Header struct {
	Module      [32]byte // SHA-256 of the module as the embedder gave it
	Snapshot    [32]byte // hash of the snapshot that the guest began as, 0 where it began as its module does
	Period      uint32   // instructions between two looks at the Host
	Depth       uint32
	Counts      bool // instructions are counted
	Turns       bool // threads take turns
	Accesses    bool // the turn can be given on at accesses to memory
	Unpreempted bool
	Resumes     bool // exports can be called after a trap
	// CanonicalNaNs says that NaNs are made canonical.
	CanonicalNaNs bool
	Stacks        bool // calls count what they take of the stack
}

const headerSize = 32 + 32 + 4 + 4 + 1

func (h *Header) flags() []*bool {
	return []*bool{&h.Counts, &h.Turns, &h.Accesses, &h.Unpreempted, &h.Resumes, &h.CanonicalNaNs, &h.Stacks}
}

func (h *Header) encode() []byte {
	b := append(append([]byte(nil), h.Module[:]...), h.Snapshot[:]...)
	b = binary.LittleEndian.AppendUint32(b, h.Period)
	b = binary.LittleEndian.AppendUint32(b, h.Depth)
	flags := byte(0)
	for i, set := range h.flags() {
		if *set {
			flags |= 1 << i
		}
	}
	return append(b, flags)
}

// decodeHeader reads a header of headerSize bytes.
func decodeHeader(b []byte) (h Header) {
	copy(h.Module[:], b)
	copy(h.Snapshot[:], b[32:])
	h.Period = binary.LittleEndian.Uint32(b[64:])
	h.Depth = binary.LittleEndian.Uint32(b[68:])
	for i, flag := range h.flags() {
		*flag = b[72]>>i&1 != 0
	}
	return h
}

// Ending is how a guest ended. The numbers are those of package virt.
type Ending struct {
	Outcome, Trap, Signal uint8
	ExitCode, Thread      uint32
	Budget                string
	// Text says more, as the error of the end did.
	Text string
}

// Answer is what a call answered.
type Answer struct {
	Reads []memory.Range // from a Reader: good until the next answer
	// Sum is the [Digest] of Reads. A Writer computes it.
	Sum    uint32
	Result uint32
	// Values are the results of a function of the embedder's; from a Reader they are good until the
	// next answer.
	Values  []uint64
	Spawned uint32
	// Writes are the ranges written; a Reader tells only how many ranges with their bytes follow.
	Writes    []memory.Range
	Following uint64
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Digest goes on with the checksum of what calls read: sum is that of the ranges before.
func Digest(sum uint32, mem []byte, r memory.Range) uint32 {
	end := uint64(r.Ptr) + uint64(r.Len)
	if end > uint64(len(mem)) {
		return ^sum
	}
	return crc32.Update(sum, castagnoli, mem[r.Ptr:end])
}

// Sum goes on with the checksum of content.
func Sum(sum uint32, b []byte) uint32 { return crc32.Update(sum, castagnoli, b) }

// Union returns the ranges without what several of them have in common, so that together they are
// no larger than the memory. Ranges that do not overlap, and are not too many for a recording, come
// back as they are.
func Union(ranges []memory.Range) []memory.Range {
	if len(ranges) <= 8 && apart(ranges) {
		return ranges
	}
	sorted := slices.Clone(ranges)
	slices.SortFunc(sorted, func(a, b memory.Range) int { return cmp.Compare(a.Ptr, b.Ptr) })
	overlap, end := false, uint64(0)
	for _, r := range sorted {
		overlap = overlap || uint64(r.Ptr) < end
		end = max(end, uint64(r.Ptr)+uint64(r.Len))
	}
	if !overlap && len(ranges) <= mostRanges {
		return ranges
	}
	sorted = joined(sorted, 0)
	for gap := uint64(16); len(sorted) > mostRanges; gap *= 2 {
		sorted = joined(sorted, gap)
	}
	return sorted
}

// apart reports whether no two of few ranges overlap.
func apart(ranges []memory.Range) bool {
	for i, a := range ranges {
		for _, b := range ranges[:i] {
			if uint64(a.Ptr) < uint64(b.Ptr)+uint64(b.Len) && uint64(b.Ptr) < uint64(a.Ptr)+uint64(a.Len) {
				return false
			}
		}
	}
	return true
}

// mostRanges is how many ranges of one call are recorded; where there are more, the bytes between
// them are recorded too.
const mostRanges = 4096

// joined makes one of ranges, sorted, with at most gap bytes between them.
func joined(ranges []memory.Range, gap uint64) []memory.Range {
	n := 0
	for _, r := range ranges[1:] {
		last := &ranges[n]
		end, next := uint64(last.Ptr)+uint64(last.Len), uint64(r.Ptr)+uint64(r.Len)
		if length := max(end, next) - uint64(last.Ptr); uint64(r.Ptr) <= end+gap && length <= math.MaxUint32 {
			last.Len = uint32(length)
			continue
		}
		n++
		ranges[n] = r
	}
	return ranges[:n+1]
}
