package srcline

import (
	"strconv"
	"strings"
	"unicode"
)

// Demangle replaces a mangled name of Rust (version 0: _R..., or legacy: _ZN...E with a hash) or of
// C++ (only nested names without templates and operators) in a line of a stack by what the
// programmer wrote. What it does not know stays.
func Demangle(line string) string {
	if at := strings.Index(line, "_R"); at == 0 || at > 0 && line[at-1] == '.' {
		end := at + len("_R")
		for end < len(line) && (line[end] == '_' || line[end] < 0x80 && (unicode.IsLetter(rune(line[end])) || unicode.IsDigit(rune(line[end])))) {
			end++
		}
		if name, ok := demangleV0(line[at:end]); ok {
			return line[:at] + name + line[end:]
		}
		return line
	}
	at := strings.Index(line, "_ZN")
	if at < 0 || at > 0 && line[at-1] != '.' {
		return line
	}
	rest := line[at+len("_ZN"):]
	rest = strings.TrimPrefix(rest, "K") // of a const method
	var parts []string
	for {
		n := 0
		for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
			n++
		}
		if n == 0 {
			break
		}
		length, err := strconv.Atoi(rest[:n])
		if err != nil || length > len(rest)-n {
			return line
		}
		parts = append(parts, rest[n:n+length])
		rest = rest[n+length:]
	}
	rest, ended := strings.CutPrefix(rest, "E")
	if len(parts) == 0 || !ended {
		return line
	}
	last := len(parts) - 1
	if hash := parts[last]; last > 0 && len(hash) == 17 && hash[0] == 'h' && strings.Trim(hash[1:], "0123456789abcdef") == "" {
		parts = parts[:last]
		for i := range parts {
			parts[i] = rustPart(parts[i])
		}
	} else if end := strings.IndexByte(rest, '('); end >= 0 { // the types of the parameters
		rest = rest[end:]
	}
	return line[:at] + strings.Join(parts, "::") + rest
}

// rustPart undoes the escapes of one part of a path.
func rustPart(s string) string {
	if strings.HasPrefix(s, "_$") { // so that it begins as a name does
		s = s[1:]
	}
	var b strings.Builder
	for s != "" {
		if s[0] == '$' {
			if code, after, ok := strings.Cut(s[1:], "$"); ok {
				if text, ok := rustEscape(code); ok {
					b.WriteString(text)
					s = after
					continue
				}
			}
		}
		if strings.HasPrefix(s, "..") {
			b.WriteString("::")
			s = s[2:]
			continue
		}
		b.WriteByte(s[0])
		s = s[1:]
	}
	return b.String()
}

func rustEscape(code string) (string, bool) {
	switch code {
	case "SP":
		return "@", true
	case "BP":
		return "*", true
	case "RF":
		return "&", true
	case "LT":
		return "<", true
	case "GT":
		return ">", true
	case "LP":
		return "(", true
	case "RP":
		return ")", true
	case "C":
		return ",", true
	}
	if hex, ok := strings.CutPrefix(code, "u"); ok {
		if n, err := strconv.ParseUint(hex, 16, 21); err == nil && n >= ' ' {
			return string(rune(n)), true
		}
	}
	return "", false
}
