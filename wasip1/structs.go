package wasip1

import "encoding/binary"

var le = binary.LittleEndian

// Sizes of the structs in guest memory, in bytes.
const (
	SizeFilestat     = 64
	SizeFdstat       = 24
	SizeDirent       = 24
	SizePrestat      = 8
	SizeSubscription = 48
	SizeEvent        = 32
	SizeIovec        = 8
)

// Filestat holds the attributes of a file (preview1: filestat).
//
//	 0 dev       8 ino      16 filetype  24 nlink
//	32 size     40 atim     48 mtim      56 ctim
type Filestat struct {
	Dev      uint64   // device that has the file
	Ino      uint64   // serial number, unique on its device
	Filetype Filetype // what it is
	Nlink    uint64   // number of hard links
	Size     uint64   // length in bytes; of a symbolic link, that of its target's path
	Atim     uint64   // last access, in nanoseconds since 1970
	Mtim     uint64   // last change of the contents
	Ctim     uint64   // last change of the contents or of these attributes
}

// Encode writes s to the first SizeFilestat bytes of b.
func (s *Filestat) Encode(b []byte) {
	b = b[:SizeFilestat]
	le.PutUint64(b[0:], s.Dev)
	le.PutUint64(b[8:], s.Ino)
	le.PutUint64(b[16:], uint64(s.Filetype))
	le.PutUint64(b[24:], s.Nlink)
	le.PutUint64(b[32:], s.Size)
	le.PutUint64(b[40:], s.Atim)
	le.PutUint64(b[48:], s.Mtim)
	le.PutUint64(b[56:], s.Ctim)
}

// DecodeFilestat reads the first SizeFilestat bytes of b.
func DecodeFilestat(b []byte) Filestat {
	b = b[:SizeFilestat]
	return Filestat{
		Dev:      le.Uint64(b[0:]),
		Ino:      le.Uint64(b[8:]),
		Filetype: Filetype(b[16]),
		Nlink:    le.Uint64(b[24:]),
		Size:     le.Uint64(b[32:]),
		Atim:     le.Uint64(b[40:]),
		Mtim:     le.Uint64(b[48:]),
		Ctim:     le.Uint64(b[56:]),
	}
}

// Fdstat holds the attributes of a descriptor (preview1: fdstat).
//
//	0 fs_filetype   2 fs_flags   8 fs_rights_base   16 fs_rights_inheriting
type Fdstat struct {
	Filetype         Filetype
	Flags            Fdflags
	RightsBase       Rights
	RightsInheriting Rights
}

// Encode writes s to the first SizeFdstat bytes of b.
func (s *Fdstat) Encode(b []byte) {
	b = b[:SizeFdstat]
	le.PutUint64(b[0:], uint64(s.Filetype)|uint64(s.Flags)<<16)
	le.PutUint64(b[8:], uint64(s.RightsBase))
	le.PutUint64(b[16:], uint64(s.RightsInheriting))
}

// DecodeFdstat reads the first SizeFdstat bytes of b.
func DecodeFdstat(b []byte) Fdstat {
	b = b[:SizeFdstat]
	return Fdstat{
		Filetype:         Filetype(b[0]),
		Flags:            Fdflags(le.Uint16(b[2:])),
		RightsBase:       Rights(le.Uint64(b[8:])),
		RightsInheriting: Rights(le.Uint64(b[16:])),
	}
}

// Dirent is the head of a directory entry (preview1: dirent). The name follows it: Namlen bytes,
// without a NUL.
//
//	0 d_next   8 d_ino   16 d_namlen   20 d_type
type Dirent struct {
	Next   Dircookie // position behind this entry
	Ino    uint64    // serial number of the file; programs that find 0 ask by path_filestat_get
	Namlen uint32    // length of the name, in bytes
	Type   Filetype
}

// Encode writes d to the first SizeDirent bytes of b.
func (d *Dirent) Encode(b []byte) {
	b = b[:SizeDirent]
	le.PutUint64(b[0:], uint64(d.Next))
	le.PutUint64(b[8:], d.Ino)
	le.PutUint64(b[16:], uint64(d.Namlen)|uint64(d.Type)<<32)
}

// DecodeDirent reads the first SizeDirent bytes of b.
func DecodeDirent(b []byte) Dirent {
	b = b[:SizeDirent]
	return Dirent{
		Next:   Dircookie(le.Uint64(b[0:])),
		Ino:    le.Uint64(b[8:]),
		Namlen: le.Uint32(b[16:]),
		Type:   Filetype(b[20]),
	}
}

// Prestat describes a preopened descriptor (preview1: prestat).
//
//	0 tag   4 pr_name_len
type Prestat struct {
	Tag     Preopentype
	NameLen uint32 // length of the directory's name, in bytes
}

// Encode writes p to the first SizePrestat bytes of b.
func (p *Prestat) Encode(b []byte) {
	le.PutUint64(b[:SizePrestat], uint64(p.Tag)|uint64(p.NameLen)<<32)
}

// DecodePrestat reads the first SizePrestat bytes of b.
func DecodePrestat(b []byte) Prestat {
	b = b[:SizePrestat]
	return Prestat{Tag: Preopentype(b[0]), NameLen: le.Uint32(b[4:])}
}

// Subscription is one thing that poll_oneoff waits for (preview1: subscription). Tag selects Clock
// or Fd, which share their place in memory.
//
//	0 userdata   8 tag   16 clock.id   24 clock.timeout   32 clock.precision   40 clock.flags
//	                     16 fd
type Subscription struct {
	Userdata uint64 // handed back in the Event
	Tag      Eventtype
	Clock    SubscriptionClock // of EventtypeClock
	Fd       uint32            // of EventtypeFdRead and EventtypeFdWrite
}

// SubscriptionClock is the time that a Subscription waits for (preview1: subscription_clock).
type SubscriptionClock struct {
	ID        ClockID
	Timeout   uint64 // in nanoseconds: a duration or, with SubclockAbstime, a time
	Precision uint64 // in nanoseconds: how much later the event may come
	Flags     Subclockflags
}

// Encode writes s to the first SizeSubscription bytes of b. It writes Clock or Fd, whichever Tag
// selects, and neither if Tag is unknown.
func (s *Subscription) Encode(b []byte) {
	b = b[:SizeSubscription]
	clear(b)
	le.PutUint64(b[0:], s.Userdata)
	b[8] = uint8(s.Tag)
	switch s.Tag {
	case EventtypeClock:
		le.PutUint32(b[16:], uint32(s.Clock.ID))
		le.PutUint64(b[24:], s.Clock.Timeout)
		le.PutUint64(b[32:], s.Clock.Precision)
		le.PutUint16(b[40:], uint16(s.Clock.Flags))
	case EventtypeFdRead, EventtypeFdWrite:
		le.PutUint32(b[16:], s.Fd)
	}
}

// DecodeSubscription reads the first SizeSubscription bytes of b. If Tag is unknown,
// Clock and Fd are zero.
func DecodeSubscription(b []byte) Subscription {
	b = b[:SizeSubscription]
	s := Subscription{Userdata: le.Uint64(b[0:]), Tag: Eventtype(b[8])}
	switch s.Tag {
	case EventtypeClock:
		s.Clock = SubscriptionClock{
			ID:        ClockID(le.Uint32(b[16:])),
			Timeout:   le.Uint64(b[24:]),
			Precision: le.Uint64(b[32:]),
			Flags:     Subclockflags(le.Uint16(b[40:])),
		}
	case EventtypeFdRead, EventtypeFdWrite:
		s.Fd = le.Uint32(b[16:])
	}
	return s
}

// Event says that what a Subscription waits for has happened (preview1: event).
//
//	0 userdata   8 error   10 type   16 fd_readwrite.nbytes   24 fd_readwrite.flags
type Event struct {
	Userdata uint64 // of the Subscription
	Errno    Errno  // why the subscription failed, or ESUCCESS
	Type     Eventtype
	NBytes   uint64 // for a descriptor: bytes that can be read or written now
	Flags    Eventrwflags
}

// Encode writes e to the first SizeEvent bytes of b.
func (e *Event) Encode(b []byte) {
	b = b[:SizeEvent]
	le.PutUint64(b[0:], e.Userdata)
	le.PutUint64(b[8:], uint64(e.Errno)|uint64(e.Type)<<16)
	le.PutUint64(b[16:], e.NBytes)
	le.PutUint64(b[24:], uint64(e.Flags))
}

// DecodeEvent reads the first SizeEvent bytes of b.
func DecodeEvent(b []byte) Event {
	b = b[:SizeEvent]
	return Event{
		Userdata: le.Uint64(b[0:]),
		Errno:    Errno(le.Uint16(b[8:])),
		Type:     Eventtype(b[10]),
		NBytes:   le.Uint64(b[16:]),
		Flags:    Eventrwflags(le.Uint16(b[24:])),
	}
}

// Iovec is a part of guest memory to read to or write from (preview1: iovec, ciovec).
//
//	0 buf   4 buf_len
type Iovec struct {
	Buf uint32 // address
	Len uint32 // in bytes
}

// Encode writes v to the first SizeIovec bytes of b.
func (v Iovec) Encode(b []byte) {
	le.PutUint64(b[:SizeIovec], uint64(v.Buf)|uint64(v.Len)<<32)
}

// DecodeIovec reads the first SizeIovec bytes of b.
func DecodeIovec(b []byte) Iovec {
	u := le.Uint64(b[:SizeIovec])
	return Iovec{Buf: uint32(u), Len: uint32(u >> 32)}
}
