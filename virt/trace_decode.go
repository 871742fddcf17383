package virt

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/vfs/sockets"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/virt/trace"
	"github.com/wasivirt/wasivirt/wasip1"
)

// given decodes the parameters before the call: what the guest gave, and where it wants the rest.
func (d *decoder) given() (args []trace.Value) {
	d.look()
	for i, p := range d.f.All() {
		if !p.Kind.Number() {
			text, value := d.decode(p.Kind, i)
			args = append(args, trace.Value{Name: p.Name, Text: text, Value: value})
		}
	}
	return args
}

// answered adds to e what the call stored.
func (d *decoder) answered(e *trace.Event) {
	if e.Errno != wasip1.ESUCCESS || e.Left {
		return
	}
	d.look()
	n := 0
	for i, p := range d.f.All() {
		if p.Kind.Number() {
			if v, errno := load(&d.view, p.Kind, uint32(d.p[i])); errno == wasip1.ESUCCESS {
				text := strconv.FormatUint(v, 10)
				value := any(v)
				if p.Kind == abi.KindOutRoflags {
					text = wasip1.Roflags(v).String()
					value = text
				}
				e.Results = append(e.Results, trace.Value{Name: p.Name, Text: text, Value: value})
			}
			continue
		}
		if p.Kind >= abi.KindIovs && !p.Kind.Value() {
			e.Args[n].Text, e.Args[n].Value = d.stored(p.Kind, i)
		}
		n++
	}
	if d.f == &threadSpawn {
		e.Results = append(e.Results, trace.Value{Name: "tid", Text: strconv.FormatUint(uint64(d.t.spawned), 10), Value: uint64(d.t.spawned)})
	}
}

// decode decodes a parameter before the call.
func (d *decoder) decode(k abi.Kind, i int) (string, any) {
	if k.Value() {
		return d.value(k, d.p[i])
	}
	ptr := uint32(d.p[i])
	switch k {
	case abi.KindPath:
		if s, ok := d.path(i); ok {
			return strconv.Quote(s), s
		}
	case abi.KindBytes:
		n := uint32(d.p[i+1])
		if b, errno := d.view.Read(ptr, min(n, uint32(d.bytes))); errno == wasip1.ESUCCESS {
			return content(b, uint64(n))
		}
	case abi.KindSockaddr:
		if a, errno := sockets.LoadAddress(&d.view, ptr); errno == wasip1.ESUCCESS {
			return a.String(), a.String()
		}
	case abi.KindCiovs:
		if text, value, ok := d.buffers(i, memory.MaxIovecTotal, false); ok {
			return text, value
		}
	case abi.KindSubscriptions:
		_, at := d.f.Only(abi.KindSize)
		if subs, ok := d.subscriptions(ptr, uint32(d.p[at])); ok {
			return array(subs)
		}
	}
	text := fmt.Sprintf("%#x", ptr)
	if k.Pair() {
		text += fmt.Sprintf("[%d]", uint32(d.p[i+1]))
	}
	return text, text
}

// stored decodes what the call stored at a pointer.
func (d *decoder) stored(k abi.Kind, i int) (string, any) {
	ptr := uint32(d.p[i])
	n := ^uint32(0)
	if size, at := d.f.Only(abi.KindOutSize); size != nil {
		n, _ = d.view.Uint32(uint32(d.p[at]))
	}
	switch k {
	case abi.KindIovs:
		if text, value, ok := d.buffers(i, uint64(n), true); ok {
			return text, value
		}
	case abi.KindOutBuffer:
		n = min(n, uint32(d.p[i+1]))
		if b, errno := d.view.Read(ptr, min(n, uint32(d.bytes))); errno == wasip1.ESUCCESS {
			return content(b, uint64(n))
		}
	case abi.KindOutEvents:
		if events, ok := d.events(ptr, n); ok {
			return array(events)
		}
	case abi.KindOutSockaddr:
		return d.decode(abi.KindSockaddr, i)
	case abi.KindOutFdstat, abi.KindOutFilestat, abi.KindOutPrestat:
		if b, errno := d.view.Read(ptr, stored(k)); errno == wasip1.ESUCCESS {
			return structure(fields(k, b))
		}
	}
	return d.decode(k, i)
}

// value decodes a parameter that is a value.
func (d *decoder) value(k abi.Kind, v uint64) (string, any) {
	name := func(s fmt.Stringer) (string, any) { return s.String(), s.String() }
	switch k {
	case abi.KindFd:
		path := d.t.pathOf(uint32(v))
		fd := strconv.FormatUint(uint64(uint32(v)), 10)
		switch {
		case path == "":
			return fd, []trace.Value{number("fd", uint64(uint32(v)))}
		case !strings.HasPrefix(path, "<"):
			return fd + "<" + escaped(path) + ">", []trace.Value{number("fd", uint64(uint32(v))), {Name: "path", Text: path, Value: path}}
		}
		return fd + escaped(path), []trace.Value{number("fd", uint64(uint32(v))), {Name: "path", Text: path, Value: path}}
	case abi.KindFiledelta:
		return strconv.FormatInt(int64(v), 10), int64(v)
	case abi.KindRights:
		r := rights("", wasip1.Rights(v))
		return r.Text, r.Value
	case abi.KindClockID:
		return name(wasip1.ClockID(v))
	case abi.KindAdvice:
		return name(wasip1.Advice(v))
	case abi.KindFdflags:
		return name(wasip1.Fdflags(v))
	case abi.KindFstflags:
		return name(wasip1.Fstflags(v))
	case abi.KindLookupflags:
		return name(wasip1.Lookupflags(v))
	case abi.KindOflags:
		return name(wasip1.Oflags(v))
	case abi.KindWhence:
		return name(wasip1.Whence(v))
	case abi.KindRiflags:
		return name(wasip1.Riflags(v))
	case abi.KindSiflags:
		return name(wasip1.Siflags(v))
	case abi.KindSdflags:
		return name(wasip1.Sdflags(v))
	case abi.KindSignal:
		return name(wasip1.Signal(v))
	}
	switch k {
	case abi.KindI32:
		return strconv.FormatInt(int64(int32(v)), 10), int64(int32(v))
	case abi.KindI64:
		return strconv.FormatInt(int64(v), 10), int64(v)
	case abi.KindF32:
		f := math.Float32frombits(uint32(v))
		return strconv.FormatFloat(float64(f), 'g', -1, 32), strconv.FormatFloat(float64(f), 'g', -1, 32)
	case abi.KindF64:
		f := math.Float64frombits(v)
		return strconv.FormatFloat(f, 'g', -1, 64), strconv.FormatFloat(f, 'g', -1, 64)
	}
	if !k.Wide() {
		v = uint64(uint32(v))
	}
	return strconv.FormatUint(v, 10), v
}

// buffers decodes the first n bytes that iovecs stand for.
func (d *decoder) buffers(i int, n uint64, w bool) (string, any, bool) {
	var s memory.Scratch
	l, errno := d.view.Iovecs(uint32(d.p[i]), uint32(d.p[i+1]), &s, w)
	if errno != wasip1.ESUCCESS {
		return "", nil, false
	}
	n = min(n, l.Total())
	text, value := content(gather(l.Bufs, int(min(n, uint64(d.bytes)))), n)
	return text, value, true
}

// content shows the beginning b of n bytes.
func content(b []byte, n uint64) (string, any) {
	text := strconv.Quote(string(b))
	if uint64(len(b)) < n {
		text = fmt.Sprintf("%s... (%d bytes)", text, n)
	}
	data := string(b)
	if uint64(len(b)) < n {
		data = whole(data)
	}
	return text, []trace.Value{{Name: "data", Text: text, Value: data}, number("len", n)}
}

// escaped is a path as a trace shows it between other text: a guest names files as it likes, with
// control characters too.
func escaped(path string) string {
	q := strconv.Quote(path)
	return q[1 : len(q)-1]
}

// whole is text without a last character that was cut.
func whole(text string) string {
	for n := range min(utf8.UTFMax, len(text)) {
		if short := text[:len(text)-n]; utf8.ValidString(short) {
			return short
		}
	}
	return text
}

// structure shows fields as a struct.
func structure(fields []trace.Value) (string, any) {
	var b strings.Builder
	for i, f := range fields {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(f.Name + "=" + f.Text)
	}
	return "{" + b.String() + "}", fields
}

// array shows structs as an array.
func array(structs [][]trace.Value) (string, any) {
	all := make([]string, len(structs))
	for i, s := range structs {
		all[i], _ = structure(s)
	}
	return "[" + strings.Join(all, ", ") + "]", structs
}

func number(name string, v uint64) trace.Value {
	return trace.Value{Name: name, Text: strconv.FormatUint(v, 10), Value: v}
}

func named(name string, v fmt.Stringer) trace.Value {
	return trace.Value{Name: name, Text: v.String(), Value: v.String()}
}

// rights are a number for a reader where they are many.
func rights(name string, r wasip1.Rights) trace.Value {
	v := named(name, r)
	if strings.Count(v.Text, "|") > 2 {
		v.Text = fmt.Sprintf("%#x", uint64(r))
	}
	return v
}

// fields are those of a struct in guest memory.
func fields(k abi.Kind, b []byte) []trace.Value {
	switch k {
	case abi.KindOutFdstat:
		s := wasip1.DecodeFdstat(b)
		return []trace.Value{named("type", s.Filetype), named("flags", s.Flags), rights("rights", s.RightsBase), rights("inheriting", s.RightsInheriting)}
	case abi.KindOutPrestat:
		s := wasip1.DecodePrestat(b)
		return []trace.Value{named("tag", s.Tag), number("name_len", uint64(s.NameLen))}
	}
	s := wasip1.DecodeFilestat(b)
	return []trace.Value{number("dev", s.Dev), number("ino", s.Ino), named("type", s.Filetype), number("nlink", s.Nlink),
		number("size", s.Size), number("atim", s.Atim), number("mtim", s.Mtim), number("ctim", s.Ctim)}
}

// maxTraced is how many subscriptions or events a trace shows.
const maxTraced = 64

func (d *decoder) subscriptions(ptr, n uint32) (all [][]trace.Value, ok bool) {
	n = min(n, maxTraced)
	b, errno := d.view.Read(ptr, n*wasip1.SizeSubscription)
	if errno != wasip1.ESUCCESS {
		return nil, false
	}
	for ; len(b) > 0; b = b[wasip1.SizeSubscription:] {
		s := wasip1.DecodeSubscription(b)
		f := []trace.Value{number("userdata", s.Userdata), named("type", s.Tag)}
		if s.Tag == wasip1.EventtypeClock {
			f = append(f, named("clock", s.Clock.ID), number("timeout", s.Clock.Timeout), named("flags", s.Clock.Flags))
		} else {
			text, value := d.value(abi.KindFd, uint64(s.Fd))
			f = append(f, trace.Value{Name: "fd", Text: text, Value: value})
		}
		all = append(all, f)
	}
	return all, true
}

func (d *decoder) events(ptr, n uint32) (all [][]trace.Value, ok bool) {
	n = min(n, maxTraced)
	b, errno := d.view.Read(ptr, n*wasip1.SizeEvent)
	if errno != wasip1.ESUCCESS {
		return nil, false
	}
	for ; len(b) > 0; b = b[wasip1.SizeEvent:] {
		e := wasip1.DecodeEvent(b)
		f := []trace.Value{number("userdata", e.Userdata), named("errno", e.Errno), named("type", e.Type)}
		if e.Type != wasip1.EventtypeClock {
			f = append(f, number("nbytes", e.NBytes), named("flags", e.Flags))
		}
		all = append(all, f)
	}
	return all, true
}
