package wasip1

import "strconv"

// flagString names the bits of v: names[i] is the name of bit i. Bits without a name
// follow together in hexadecimal; no bits at all are "0".
func flagString(v uint64, names []string) string {
	if v == 0 {
		return "0"
	}
	var b []byte
	for i, name := range names {
		if v&(1<<i) == 0 {
			continue
		}
		v &^= 1 << i
		if len(b) > 0 {
			b = append(b, '|')
		}
		b = append(b, name...)
	}
	if v != 0 {
		if len(b) > 0 {
			b = append(b, '|')
		}
		b = strconv.AppendUint(append(b, "0x"...), v, 16)
	}
	return string(b)
}

// enumString returns names[v], or "Type(v)" if there is none.
func enumString(typ string, v uint64, names []string) string {
	if v < uint64(len(names)) {
		return names[v]
	}
	return typ + "(" + strconv.FormatUint(v, 10) + ")"
}
