package srcline

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bounds of a name of Rust's: what goes beyond is not a name that a compiler would make, and stays
// as it is.
const (
	maxRustDepth = 64   // of types within types
	maxRustSteps = 4096 // paths, types and constants, those read again by back references included
	maxRustName  = 1024 // bytes of the result
)

// rustV0 reads a name in Rust's mangling of version 0 (RFC 2603). What stands behind "_R" is in,
// which ends where the name does. Disambiguators of crates and names of lifetimes are left out.
type rustV0 struct {
	in           string
	at           int
	out          []byte
	quiet        bool // nothing is written
	depth, steps int
	bad          bool // what was read is no such name; nothing more is read
}

// demangleV0 returns the name that a symbol stands for, which begins with "_R".
func demangleV0(symbol string) (string, bool) {
	d := rustV0{in: symbol[len("_R"):]}
	d.path(true)
	if d.at < len(d.in) { // the crate that instantiated it
		d.quiet = true
		d.path(false)
	}
	return string(d.out), !d.bad && d.at == len(d.in)
}

func (d *rustV0) write(s string) {
	switch {
	case d.quiet || d.bad:
	case len(d.out)+len(s) > maxRustName:
		d.bad = true
	default:
		d.out = append(d.out, s...)
	}
}

// peek is the next byte, 0 at the end.
func (d *rustV0) peek() byte {
	if d.bad || d.at >= len(d.in) {
		return 0
	}
	return d.in[d.at]
}

// next takes the next byte.
func (d *rustV0) next() byte {
	c := d.peek()
	if c == 0 {
		d.bad = true
		return 0
	}
	d.at++
	return c
}

// eat takes the next byte if it is c.
func (d *rustV0) eat(c byte) bool {
	if d.peek() != c {
		return false
	}
	d.at++
	return true
}

// within runs f, which reads something that may contain others of its kind.
func (d *rustV0) within(f func()) {
	d.depth++
	d.steps++
	if d.depth > maxRustDepth || d.steps > maxRustSteps {
		d.bad = true
	}
	if !d.bad {
		f()
	}
	d.depth--
}

// base62 reads a number to the base of 62.
func (d *rustV0) base62() (n uint64) {
	if d.eat('_') {
		return 0
	}
	for !d.bad {
		digit := uint64(0)
		switch c := d.next(); {
		case c == '_':
			return n + 1
		case c >= '0' && c <= '9':
			digit = uint64(c - '0')
		case c >= 'a' && c <= 'z':
			digit = uint64(c-'a') + 10
		case c >= 'A' && c <= 'Z':
			digit = uint64(c-'A') + 36
		default:
			d.bad = true
		}
		if n > (math.MaxUint64-digit)/62 {
			d.bad = true
		}
		n = n*62 + digit
	}
	return 0
}

// optional reads a number behind a tag, 0 where the tag is missing.
func (d *rustV0) optional(tag byte) uint64 {
	if !d.eat(tag) {
		return 0
	}
	return d.base62() + 1
}

// identifier reads a name with its disambiguator.
func (d *rustV0) identifier() (name string, disambiguator uint64) {
	disambiguator = d.optional('s')
	return d.name(), disambiguator
}

func (d *rustV0) name() string {
	punycode := d.eat('u')
	n := 0
	if !d.eat('0') {
		first := d.at
		for d.peek() >= '0' && d.peek() <= '9' && d.at-first < 6 {
			n = n*10 + int(d.next()-'0')
		}
		d.bad = d.bad || d.at == first
	}
	d.eat('_')
	if d.bad || n > len(d.in)-d.at {
		d.bad = true
		return ""
	}
	name := d.in[d.at : d.at+n]
	d.at += n
	if punycode {
		return "punycode{" + name + "}"
	}
	return name
}

// again reads what a back reference leads to, which stands before it.
func (d *rustV0) again(read func()) {
	at := d.at - 1
	to := d.base62()
	if d.bad || to >= uint64(at) {
		d.bad = true
		return
	}
	behind := d.at
	if !d.quiet { // else it was read
		d.at = int(to)
		d.within(read)
	}
	d.at = behind
}

// path reads a path. In an expression, arguments of generics follow "::".
func (d *rustV0) path(expression bool) {
	d.within(func() {
		switch c := d.next(); c {
		case 'C':
			name, _ := d.identifier()
			d.write(name)
		case 'M', 'X':
			d.hidden(func() {
				d.optional('s')
				d.path(false)
			})
			d.implementation(c == 'X')
		case 'Y':
			d.implementation(true)
		case 'N':
			d.nested(expression)
		case 'I':
			d.path(expression)
			if expression {
				d.write("::")
			}
			d.write("<")
			d.list(d.argument)
			d.write(">")
		case 'B':
			d.again(func() { d.path(expression) })
		default:
			d.bad = true
		}
	})
}

// hidden reads something that is not shown.
func (d *rustV0) hidden(read func()) {
	quiet := d.quiet
	d.quiet = true
	read()
	d.quiet = quiet
}

func (d *rustV0) implementation(ofTrait bool) {
	d.write("<")
	d.typ()
	if ofTrait {
		d.write(" as ")
		d.path(false)
	}
	d.write(">")
}

func (d *rustV0) nested(expression bool) {
	space := d.next()
	d.path(expression)
	name, number := d.identifier()
	switch {
	case space >= 'A' && space <= 'Z':
		kind := map[byte]string{'C': "closure", 'S': "shim"}[space]
		if kind == "" {
			kind = string(space)
		}
		if name != "" {
			kind += ":" + name
		}
		d.write(fmt.Sprintf("::{%s#%d}", kind, number))
	case space < 'a' || space > 'z':
		d.bad = true
	case name != "":
		d.write("::" + name)
	}
}

// list reads up to an E, with commas between.
func (d *rustV0) list(read func()) (n int) {
	for ; !d.bad && !d.eat('E'); n++ {
		if n > 0 {
			d.write(", ")
		}
		read()
	}
	return n
}

// argument reads an argument of generics.
func (d *rustV0) argument() {
	switch {
	case d.eat('L'):
		d.base62()
		d.write("'_")
	case d.eat('K'):
		d.constant()
	default:
		d.typ()
	}
}

var rustTypes = map[byte]string{
	'a': "i8", 'b': "bool", 'c': "char", 'd': "f64", 'e': "str", 'f': "f32", 'h': "u8", 'i': "isize", 'j': "usize", 'l': "i32",
	'm': "u32", 'n': "i128", 'o': "u128", 's': "i16", 't': "u16", 'u': "()", 'v': "...", 'x': "i64", 'y': "u64", 'z': "!", 'p': "_",
}

func (d *rustV0) typ() {
	d.within(func() {
		c := d.peek()
		if name, ok := rustTypes[c]; ok {
			d.at++
			d.write(name)
			return
		}
		switch c {
		case 'C', 'M', 'X', 'Y', 'N', 'I':
			d.path(false)
			return
		}
		d.next()
		switch c {
		case 'R', 'Q':
			if d.eat('L') {
				d.base62()
			}
			d.write("&")
			if c == 'Q' {
				d.write("mut ")
			}
			d.typ()
		case 'P', 'O':
			d.write(map[byte]string{'P': "*const ", 'O': "*mut "}[c])
			d.typ()
		case 'A', 'S':
			d.write("[")
			d.typ()
			if c == 'A' {
				d.write("; ")
				d.constant()
			}
			d.write("]")
		case 'T':
			d.write("(")
			if d.list(d.typ) == 1 {
				d.write(",")
			}
			d.write(")")
		case 'F':
			d.function()
		case 'D':
			d.dynamic()
		case 'B':
			d.again(d.typ)
		default:
			d.bad = true
		}
	})
}

func (d *rustV0) function() {
	d.optional('G')
	if d.eat('U') {
		d.write("unsafe ")
	}
	if d.eat('K') {
		abi := "C"
		if !d.eat('C') {
			abi = strings.ReplaceAll(d.name(), "_", "-")
		}
		d.write("extern " + strconv.Quote(abi) + " ")
	}
	d.write("fn(")
	d.list(d.typ)
	d.write(")")
	if !d.eat('u') {
		d.write(" -> ")
		d.typ()
	}
}

func (d *rustV0) dynamic() {
	d.write("dyn ")
	d.optional('G')
	for n := 0; !d.bad && !d.eat('E'); n++ {
		if n > 0 {
			d.write(" + ")
		}
		open := d.openPath()
		for d.eat('p') {
			if open {
				d.write(", ")
			} else {
				d.write("<")
			}
			open = true
			d.write(d.name() + " = ")
			d.typ()
		}
		if open {
			d.write(">")
		}
	}
	if !d.eat('L') {
		d.bad = true
	}
	d.base62()
}

// openPath reads a path. If it has arguments of generics, more of them can follow.
func (d *rustV0) openPath() (open bool) {
	switch {
	case d.eat('B'):
		d.again(func() { open = d.openPath() })
	case d.eat('I'):
		d.path(false)
		d.write("<")
		d.list(d.argument)
		open = true
	default:
		d.path(false)
	}
	return open
}

// constant reads a constant of a simple type.
func (d *rustV0) constant() {
	d.within(func() {
		c := d.next()
		switch c {
		case 'B':
			d.again(d.constant)
			return
		case 'p':
			d.write("_")
			return
		}
		if !strings.ContainsRune("ahijlmnostxybc", rune(c)) {
			d.bad = true
			return
		}
		if d.eat('n') {
			d.write("-")
		}
		digits, _, ok := strings.Cut(d.in[min(d.at, len(d.in)):], "_")
		n, err := strconv.ParseUint("0"+digits, 16, 64)
		if !ok || err != nil || len(digits) > 16 {
			d.bad = true
			return
		}
		d.at += len(digits) + 1
		switch {
		case c == 'b':
			d.write(strconv.FormatBool(n != 0))
		case c == 'c':
			d.write(strconv.QuoteRune(rune(min(n, 1<<21))))
		default:
			d.write(strconv.FormatUint(n, 10))
		}
	})
}
