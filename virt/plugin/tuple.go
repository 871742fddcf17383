package plugin

import (
	"fmt"
	"reflect"

	"github.com/tetratelabs/wazero/api"
)

// tuple moves several values: the fields of a struct, parameters, or results. The function at gives
// the i-th.
type tuple struct {
	members     []member
	size, align uint32
	end         uint32 // size without padding
	flat        []api.ValueType
}

// member is one value of a tuple, with its place in memory.
type member struct {
	*codec
	offset uint32
}

// tupleOf places values as C places the fields of a struct.
func tupleOf(codecs []*codec) *tuple {
	t := &tuple{align: 1}
	for _, c := range codecs {
		align := max(c.align, 1)
		t.size = (t.size + align - 1) / align * align
		t.members = append(t.members, member{c, t.size})
		t.size += c.size
		t.align = max(t.align, align)
		t.flat = append(t.flat, c.flat...)
	}
	t.end = t.size
	t.size = (t.size + t.align - 1) / t.align * t.align
	return t
}

func (t *tuple) lower(x *transfer, at func(int) reflect.Value, flat []uint64) error {
	for i := range t.members {
		if err := t.members[i].lower(x, at(i), flat); err != nil {
			return err
		}
		flat = flat[len(t.members[i].flat):]
	}
	return nil
}

func (t *tuple) lift(x *transfer, flat []uint64, at func(int) reflect.Value) error {
	for i := range t.members {
		if err := t.members[i].lift(x, flat, at(i)); err != nil {
			return err
		}
		flat = flat[len(t.members[i].flat):]
	}
	return nil
}

func (t *tuple) store(x *transfer, b []byte, at func(int) reflect.Value) error {
	for i := range t.members {
		if err := t.members[i].store(x, b[t.members[i].offset:], at(i)); err != nil {
			return err
		}
	}
	return nil
}

func (t *tuple) load(x *transfer, b []byte, at func(int) reflect.Value) error {
	for i := range t.members {
		if err := t.members[i].load(x, b[t.members[i].offset:], at(i)); err != nil {
			return err
		}
	}
	return nil
}

// place puts the stored form into a block of its own.
func (t *tuple) place(x *transfer, at func(int) reflect.Value) (uint32, error) {
	ptr, err := x.block(uint64(t.size), t.align)
	if err != nil {
		return 0, err
	}
	b := make([]byte, t.size)
	if err := t.store(x, b, at); err != nil {
		return 0, err
	}
	return ptr, write(x, ptr, b)
}

// fetch takes the stored form at ptr, a block of the guest's.
func (t *tuple) fetch(x *transfer, ptr uint32, at func(int) reflect.Value) error {
	b, err := x.read(ptr, uint64(t.size))
	if err != nil {
		return err
	}
	return t.load(x, b, at)
}

func structCodec(t reflect.Type, assemblyScript bool, outer ...reflect.Type) (*codec, error) {
	codecs := make([]*codec, t.NumField())
	for i := range codecs {
		f := t.Field(i)
		if !f.IsExported() {
			return nil, fmt.Errorf("%v: the field %s is not exported", t, f.Name)
		}
		var err error
		if codecs[i], err = codecOf(f.Type, assemblyScript, outer...); err != nil {
			return nil, fmt.Errorf("%v: the field %s: %w", t, f.Name, err)
		}
	}
	fields := tupleOf(codecs)
	if assemblyScript {
		return instanceCodec(fields, t), nil
	}
	return &codec{
		size: fields.size, align: fields.align, flat: fields.flat,
		lower: func(x *transfer, v reflect.Value, flat []uint64) error { return fields.lower(x, v.Field, flat) },
		lift:  func(x *transfer, flat []uint64, v reflect.Value) error { return fields.lift(x, flat, v.Field) },
		store: func(x *transfer, b []byte, v reflect.Value) error { return fields.store(x, b, v.Field) },
		load:  func(x *transfer, b []byte, v reflect.Value) error { return fields.load(x, b, v.Field) },
	}, nil
}
