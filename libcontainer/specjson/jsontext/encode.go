package jsontext

import (
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// Encoder writes one compact JSON text. The zero Encoder is ready for use.
type Encoder struct {
	text []byte
	err  error
}

// Text returns what was written, or the first error.
func (e *Encoder) Text() ([]byte, error) { return e.text, e.err }

// Object begins an object.
func (e *Encoder) Object() { e.text = append(e.text, '{') }

// End ends the object.
func (e *Encoder) End() { e.text = append(e.text, '}') }

// Name begins a member of the object.
func (e *Encoder) Name(name string) {
	if e.text[len(e.text)-1] != '{' {
		e.text = append(e.text, ',')
	}
	e.String(name)
	e.text = append(e.text, ':')
}

// Signed writes an integer.
func (e *Encoder) Signed(v int64) { e.text = strconv.AppendInt(e.text, v, 10) }

// Unsigned writes an integer.
func (e *Encoder) Unsigned(v uint64) { e.text = strconv.AppendUint(e.text, v, 10) }

// Bool writes true or false.
func (e *Encoder) Bool(v bool) { e.text = strconv.AppendBool(e.text, v) }

// Time writes a time in the format of RFC 3339, to which it must fit.
func (e *Encoder) Time(v time.Time) {
	text, err := v.AppendText(append(e.text, '"'))
	if err != nil {
		if e.err == nil {
			e.err = err
		}
		return
	}
	e.text = append(text, '"')
}

// StringMap writes an object of strings in the order of their names.
func (e *Encoder) StringMap(m map[string]string) {
	e.Object()
	for _, name := range slices.Sorted(maps.Keys(m)) {
		e.Name(name)
		e.String(m[name])
	}
	e.End()
}

// String writes a string; U+FFFD takes the place of what is not UTF-8 in it.
func (e *Encoder) String(s string) {
	b := append(e.text, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(append(b, s[from:i]...), "\uFFFD"...)
				from = i + 1
			}
			i += n
			continue
		}
		if c < ' ' || c == '"' || c == '\\' {
			b = appendEscape(append(b, s[from:i]...), c)
			from = i + 1
		}
		i++
	}
	e.text = append(append(b, s[from:]...), '"')
}

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	}
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}
