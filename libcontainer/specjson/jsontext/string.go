package jsontext

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// String reads a string.
//
//go:noinline
func (d *Decoder) String(v *string) { *v = d.string() }

func (d *Decoder) string() string {
	if d.next() != '"' {
		d.Refuse()
		return ""
	}
	start := d.pos + 1
	i := start
	for ; i+8 <= len(d.text); i += 8 {
		if special := specials(binary.LittleEndian.Uint64([]byte(d.text[i : i+8]))); special != 0 {
			i += bits.TrailingZeros64(special) / 8
			break
		}
	}
	for ; i < len(d.text); i++ {
		c := d.text[i]
		if c == '"' {
			d.pos = i + 1
			return d.text[start:i]
		}
		if c < ' ' || c == '\\' || c >= utf8.RuneSelf {
			return d.unusual(start, i)
		}
	}
	d.Refuse()
	return ""
}

// specials has the high bit set in the lowest byte of eight that is not an
// ordinary character of a string. Bits above that one mean nothing.
func specials(eight uint64) uint64 {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	quote, backslash := eight^ones*'"', eight^ones*'\\'
	return (eight | (eight - ones*' ') | (quote - ones) | (backslash - ones)) & highs
}

// unusual reads the rest of a string from i on, which has escapes or is not ASCII.
func (d *Decoder) unusual(start, i int) string {
	text := d.text
	var unescaped []byte // up to from; nil before the first escape
	from := start
	for i < len(text) {
		switch c := text[i]; {
		case c == '"':
			d.pos = i + 1
			if unescaped == nil {
				return text[start:i]
			}
			return string(append(unescaped, text[from:i]...))
		case c == '\\':
			r, n := escape(text[i+1:])
			if r == 0 {
				d.pos = i
				d.Refuse()
				return ""
			}
			unescaped = utf8.AppendRune(append(unescaped, text[from:i]...), r)
			i += 1 + n
			from = i
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRuneInString(text[i:])
			if r == utf8.RuneError && n == 1 {
				d.pos = i
				d.Refuse()
				return ""
			}
			i += n
		case c < ' ':
			d.pos = i
			d.Refuse()
			return ""
		default:
			i++
		}
	}
	d.Refuse()
	return ""
}

// escape returns what the escape stands for, the backslash left off, and how
// many bytes it has. The rune is 0 for what is none, and for a NUL. Half of a
// surrogate pair stands for U+FFFD, as in encoding/json.
func escape(s string) (r rune, n int) {
	if len(s) == 0 {
		return 0, 0
	}
	switch s[0] {
	case '"', '\\', '/':
		return rune(s[0]), 1
	case 'b':
		return '\b', 1
	case 'f':
		return '\f', 1
	case 'n':
		return '\n', 1
	case 'r':
		return '\r', 1
	case 't':
		return '\t', 1
	case 'u':
		r = hex4(s[1:])
	}
	if r <= 0 {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 5
	}
	if len(s) > 7 && s[5] == '\\' && s[6] == 'u' {
		if pair := utf16.DecodeRune(r, hex4(s[7:])); pair != utf8.RuneError {
			return pair, 11
		}
	}
	return utf8.RuneError, 5
}

// hex4 is -1 for what doesn't start with four hexadecimal digits.
func hex4(s string) rune {
	if len(s) < 4 {
		return -1
	}
	var r rune
	for i := range 4 {
		c := s[i]
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}
