package plugin

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"slices"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/virt"
)

const (
	i32 = api.ValueTypeI32
	i64 = api.ValueTypeI64
	f32 = api.ValueTypeF32
	f64 = api.ValueTypeF64
)

// codec moves values of one Go type. The flat form is WebAssembly values, the stored form is bytes
// in memory.
type codec struct {
	size, align uint32
	flat        []api.ValueType
	pair        bool // a pointer and a length
	// lower gives the flat form, lift takes it.
	lower func(x *transfer, v reflect.Value, flat []uint64) error
	lift  func(x *transfer, flat []uint64, v reflect.Value) error
	// store writes the stored form to b, which is the host's, because allocating moves the guest's
	// memory. load reads it.
	store func(x *transfer, b []byte, v reflect.Value) error
	load  func(x *transfer, b []byte, v reflect.Value) error
}

// codecOf returns the codec of a type. outer are the types that it is part of.
func codecOf(t reflect.Type, assemblyScript bool, outer ...reflect.Type) (*codec, error) {
	if slices.Contains(outer, t) {
		return nil, fmt.Errorf("%v contains itself: use a slice of bytes and an encoding of your own", t)
	}
	switch t.Kind() {
	case reflect.Bool:
		return number(1, i32, func(v reflect.Value) uint64 {
			if v.Bool() {
				return 1
			}
			return 0
		}, func(v reflect.Value, n uint64) { v.SetBool(n != 0) }), nil
	case reflect.Int8, reflect.Int16, reflect.Int32:
		return number(uint32(t.Size()), i32, func(v reflect.Value) uint64 { return uint64(uint32(v.Int())) }, signed(t)), nil
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return number(uint32(t.Size()), i32, reflect.Value.Uint, unsigned(t)), nil
	case reflect.Int64, reflect.Int:
		return number(8, i64, func(v reflect.Value) uint64 { return uint64(v.Int()) }, func(v reflect.Value, n uint64) { v.SetInt(int64(n)) }), nil
	case reflect.Uint64, reflect.Uint:
		return number(8, i64, reflect.Value.Uint, reflect.Value.SetUint), nil
	case reflect.Float32:
		return number(4, f32, func(v reflect.Value) uint64 { return uint64(math.Float32bits(float32(v.Float()))) },
			func(v reflect.Value, n uint64) { v.SetFloat(float64(math.Float32frombits(uint32(n)))) }), nil
	case reflect.Float64:
		return number(8, f64, func(v reflect.Value) uint64 { return math.Float64bits(v.Float()) },
			func(v reflect.Value, n uint64) { v.SetFloat(math.Float64frombits(n)) }), nil
	case reflect.String:
		if assemblyScript {
			return objectCodec(stringClass, encodeUTF16, decodeUTF16), nil
		}
		return bytesCodec(func(v reflect.Value, b []byte) { v.SetString(string(b)) }), nil
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			if assemblyScript {
				return objectCodec(bufferClass, reflect.Value.Bytes, func(v reflect.Value, b []byte) { v.SetBytes(bytes.Clone(b)) }), nil
			}
			return bytesCodec(func(v reflect.Value, b []byte) { v.SetBytes(bytes.Clone(b)) }), nil
		}
		if assemblyScript {
			return nil, fmt.Errorf("%v: AssemblyScript's arrays are not supported: use []byte", t)
		}
		element, err := codecOf(t.Elem(), false, append(outer, t)...)
		if err != nil {
			return nil, err
		}
		if element.size == 0 {
			return nil, fmt.Errorf("%v: its elements have no size", t)
		}
		return sliceCodec(t, element), nil
	case reflect.Struct:
		return structCodec(t, assemblyScript, append(outer, t)...)
	}
	return nil, fmt.Errorf("%v cannot be passed: use bool, numbers, string, slices and structs of these", t)
}

// number is the codec of what is one value of a WebAssembly type, and size bytes in memory.
func number(size uint32, flat api.ValueType, get func(reflect.Value) uint64, set func(reflect.Value, uint64)) *codec {
	return &codec{
		size: size, align: size, flat: []api.ValueType{flat},
		lower: func(_ *transfer, v reflect.Value, out []uint64) error { out[0] = get(v); return nil },
		lift:  func(_ *transfer, in []uint64, v reflect.Value) error { set(v, in[0]); return nil },
		store: func(_ *transfer, b []byte, v reflect.Value) error {
			var whole [8]byte
			binary.LittleEndian.PutUint64(whole[:], get(v))
			copy(b[:size], whole[:])
			return nil
		},
		load: func(_ *transfer, b []byte, v reflect.Value) error {
			var whole [8]byte
			copy(whole[:], b[:size])
			set(v, binary.LittleEndian.Uint64(whole[:]))
			return nil
		},
	}
}

// signed sets the low bits of a value, whatever the guest left in the others.
func signed(t reflect.Type) func(reflect.Value, uint64) {
	shift := 64 - t.Bits()
	return func(v reflect.Value, n uint64) { v.SetInt(int64(n<<shift) >> shift) }
}

func unsigned(t reflect.Type) func(reflect.Value, uint64) {
	shift := 64 - t.Bits()
	return func(v reflect.Value, n uint64) { v.SetUint(n << shift >> shift) }
}

// pair is the codec of what is a pointer and a length.
func pair(lower func(*transfer, reflect.Value) (ptr, n uint32, err error), lift func(x *transfer, ptr, n uint32, v reflect.Value) error) *codec {
	return &codec{
		size: 8, align: 4, flat: []api.ValueType{i32, i32}, pair: true,
		lower: func(x *transfer, v reflect.Value, out []uint64) error {
			ptr, n, err := lower(x, v)
			out[0], out[1] = uint64(ptr), uint64(n)
			return err
		},
		lift: func(x *transfer, in []uint64, v reflect.Value) error { return lift(x, uint32(in[0]), uint32(in[1]), v) },
		store: func(x *transfer, b []byte, v reflect.Value) error {
			ptr, n, err := lower(x, v)
			binary.LittleEndian.PutUint32(b, ptr)
			binary.LittleEndian.PutUint32(b[4:], n)
			return err
		},
		load: func(x *transfer, b []byte, v reflect.Value) error {
			return lift(x, binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:]), v)
		},
	}
}

// bytesCodec is the codec of a string or []byte.
func bytesCodec(set func(reflect.Value, []byte)) *codec {
	return pair(func(x *transfer, v reflect.Value) (uint32, uint32, error) {
		n := v.Len()
		ptr, err := x.block(uint64(n), 1)
		switch {
		case err != nil:
		case v.Kind() == reflect.String:
			err = write(x, ptr, v.String())
		default:
			err = write(x, ptr, v.Bytes())
		}
		return ptr, uint32(n), err
	}, func(x *transfer, ptr, n uint32, v reflect.Value) error {
		if err := x.take(ptr, uint64(n), 1); err != nil {
			return err
		}
		if n == 0 {
			set(v, nil)
			return nil
		}
		b, err := x.read(ptr, uint64(n))
		if err != nil {
			return err
		}
		set(v, b)
		return nil
	})
}

// elementsBetween is how many elements the host reads between two looks at the guest's end: all of
// them can take seconds.
const elementsBetween = 1 << 12

// sliceCodec is the codec of a slice of other elements than bytes.
func sliceCodec(t reflect.Type, element *codec) *codec {
	return pair(func(x *transfer, v reflect.Value) (uint32, uint32, error) {
		n := v.Len()
		size := uint64(n) * uint64(element.size)
		ptr, err := x.block(size, element.align)
		if err != nil {
			return 0, 0, err
		}
		b := make([]byte, size)
		for i := range n {
			if err := element.store(x, b[i*int(element.size):], v.Index(i)); err != nil {
				return 0, 0, err
			}
		}
		return ptr, uint32(n), write(x, ptr, b)
	}, func(x *transfer, ptr, n uint32, v reflect.Value) error {
		size := uint64(n) * uint64(element.size)
		if err := x.take(ptr, size, element.align); err != nil {
			return err
		}
		b, err := x.read(ptr, size)
		if err == nil {
			// In Go an element may be larger than in the guest.
			err = x.charge(ptr, uint64(n)*uint64(t.Elem().Size())-min(size, uint64(n)*uint64(t.Elem().Size())))
		}
		if err != nil {
			return err
		}
		all := reflect.MakeSlice(t, int(n), int(n))
		for i := range int(n) {
			if i%elementsBetween == elementsBetween-1 && ended(x.host) {
				return &virt.ExitError{Result: x.host.Guest().Result()}
			}
			if err := element.load(x, b[i*int(element.size):], all.Index(i)); err != nil {
				return err
			}
		}
		v.Set(all)
		return nil
	})
}
