package virt

import (
	"fmt"
	"math"
	"strconv"

	"github.com/tetratelabs/wazero/api"
)

// parseValue reads a parameter of an exported function.
func parseValue(t api.ValueType, text string) (uint64, error) {
	switch t {
	case api.ValueTypeI32:
		if v, err := strconv.ParseUint(text, 0, 32); err == nil {
			return v, nil
		}
		v, err := strconv.ParseInt(text, 0, 32)
		return api.EncodeI32(int32(v)), err
	case api.ValueTypeI64:
		if v, err := strconv.ParseUint(text, 0, 64); err == nil {
			return v, nil
		}
		v, err := strconv.ParseInt(text, 0, 64)
		return api.EncodeI64(v), err
	case api.ValueTypeF32:
		v, err := strconv.ParseFloat(text, 32)
		return api.EncodeF32(float32(v)), err
	case api.ValueTypeF64:
		v, err := strconv.ParseFloat(text, 64)
		return api.EncodeF64(v), err
	}
	return 0, fmt.Errorf("its type, %s, cannot be written as text", api.ValueTypeName(t))
}

// formatValue writes a result of an exported function. Integers are signed.
func formatValue(t api.ValueType, v uint64) string {
	switch t {
	case api.ValueTypeI32:
		return strconv.Itoa(int(int32(v)))
	case api.ValueTypeI64:
		return strconv.FormatInt(int64(v), 10)
	case api.ValueTypeF32:
		return strconv.FormatFloat(float64(api.DecodeF32(v)), 'g', -1, 32)
	case api.ValueTypeF64:
		return strconv.FormatFloat(math.Float64frombits(v), 'g', -1, 64)
	}
	return fmt.Sprintf("%#x", v)
}
