package plugin

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"unicode/utf16"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/wasip1"
)

// Objects of AssemblyScript have a header before the bytes that pointers point to. Its last eight
// bytes are the number of the class and the size in bytes.
const (
	classOffset = 8
	sizeOffset  = 4

	bufferClass = 1 // ArrayBuffer
	stringClass = 2
)

// reference is the codec of what is a pointer to an object, which the guest may leave out.
func reference(lower func(*transfer, reflect.Value) (uint32, error), lift func(*transfer, uint32, reflect.Value) error) *codec {
	return &codec{
		size: 4, align: 4, flat: []api.ValueType{i32},
		lower: func(x *transfer, v reflect.Value, out []uint64) error {
			ptr, err := lower(x, v)
			out[0] = uint64(ptr)
			return err
		},
		lift: func(x *transfer, in []uint64, v reflect.Value) error { return lift(x, uint32(in[0]), v) },
		store: func(x *transfer, b []byte, v reflect.Value) error {
			ptr, err := lower(x, v)
			binary.LittleEndian.PutUint32(b, ptr)
			return err
		},
		load: func(x *transfer, b []byte, v reflect.Value) error { return lift(x, binary.LittleEndian.Uint32(b), v) },
	}
}

// header reads what stands before an object.
func (x *transfer) header(ptr uint32) (class, size uint32, err error) {
	if ptr < classOffset {
		return 0, 0, x.fault(ptr, 0, wasip1.EFAULT)
	}
	b, err := x.read(ptr-classOffset, classOffset)
	if err != nil {
		return 0, 0, err
	}
	return binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[sizeOffset:]), nil
}

// objectCodec is the codec of a String or ArrayBuffer. A null pointer is an empty one.
func objectCodec(class uint32, get func(reflect.Value) []byte, set func(reflect.Value, []byte)) *codec {
	return reference(func(x *transfer, v reflect.Value) (uint32, error) {
		b := get(v)
		ptr, err := x.object(uint64(len(b)), class)
		if err != nil {
			return 0, err
		}
		return ptr, write(x, ptr, b)
	}, func(x *transfer, ptr uint32, v reflect.Value) error {
		if ptr == 0 {
			set(v, nil)
			return nil
		}
		is, size, err := x.header(ptr)
		if err != nil {
			return err
		}
		if is != class {
			return x.fault(ptr, uint64(size), fmt.Errorf("an AssemblyScript object of class %d, not %d: %w", is, class, wasip1.EINVAL))
		}
		b, err := x.read(ptr, uint64(size))
		if err != nil {
			return err
		}
		set(v, b)
		return nil
	})
}

// instanceCodec is the codec of an object whose fields are c. It is read only.
func instanceCodec(c *tuple, t reflect.Type) *codec {
	return reference(func(x *transfer, _ reflect.Value) (uint32, error) {
		return 0, fmt.Errorf("%s: %v cannot be passed to AssemblyScript: pass its fields", x.name, t)
	}, func(x *transfer, ptr uint32, v reflect.Value) error {
		_, size, err := x.header(ptr)
		if err != nil {
			return err
		}
		if size < c.end {
			return x.fault(ptr, uint64(size), fmt.Errorf("an AssemblyScript object that is smaller than %v: %w", t, wasip1.EINVAL))
		}
		b, err := x.read(ptr, uint64(c.end))
		if err != nil {
			return err
		}
		return c.load(x, b, v.Field)
	})
}

func encodeUTF16(v reflect.Value) []byte {
	var b []byte
	for _, r := range v.String() {
		if r1, r2 := utf16.EncodeRune(r); r1 != '\uFFFD' {
			b = binary.LittleEndian.AppendUint16(b, uint16(r1))
			b = binary.LittleEndian.AppendUint16(b, uint16(r2))
		} else {
			b = binary.LittleEndian.AppendUint16(b, uint16(r))
		}
	}
	return b
}

func decodeUTF16(v reflect.Value, b []byte) {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	v.SetString(string(utf16.Decode(units)))
}
