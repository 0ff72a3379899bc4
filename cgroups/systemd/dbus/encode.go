package dbus

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// encoder marshals values. Go's types stand for D-Bus's like this:
//
//	y byte, b bool, n int16, q uint16, i int32, u uint32, x int64, t uint64, d float64
//	s, o, g string; v Variant
//	ay []byte, as []string, au []uint32, any other array []any
//	(…) and {…} []any
type encoder struct{ buf []byte }

func (e *encoder) align(n int) {
	for len(e.buf)%n != 0 {
		e.buf = append(e.buf, 0)
	}
}

func (e *encoder) uint32(v uint32) { e.buf = binary.LittleEndian.AppendUint32(e.buf, v) }

// values encodes a sequence of values of the types in sig.
func (e *encoder) values(sig string, values []any) error {
	for _, v := range values {
		first, rest, err := SplitType(sig)
		if err != nil {
			return fmt.Errorf("more values than types: %w", err)
		}
		if err := e.value(first, v); err != nil {
			return err
		}
		sig = rest
	}
	if sig != "" {
		return fmt.Errorf("no value for type %q", sig)
	}
	return nil
}

// value encodes a value of the complete type sig.
func (e *encoder) value(sig string, v any) error {
	e.align(alignment(sig[0]))
	ok := true
	switch sig[0] {
	case 'a':
		return e.array(sig[1:], v)
	case '(', '{':
		members, ok := v.([]any)
		if !ok {
			return mismatch(sig, v)
		}
		return e.values(sig[1:len(sig)-1], members)
	case 'v':
		w, ok := v.(Variant)
		if !ok {
			return mismatch(sig, v)
		}
		if err := CheckType(w.Sig); err != nil {
			return err
		}
		if err := e.value("g", w.Sig); err != nil {
			return err
		}
		return e.value(w.Sig, w.Value)
	case 's', 'o', 'g':
		s, ok := v.(string)
		if !ok {
			return mismatch(sig, v)
		}
		return e.string(sig[0], s)
	default:
		ok = e.number(sig[0], v)
	}
	if !ok {
		return mismatch(sig, v)
	}
	return nil
}

func mismatch(sig string, v any) error {
	return fmt.Errorf("a value of type %T can't be sent as %q", v, sig)
}

func (e *encoder) number(c byte, v any) bool {
	le := binary.LittleEndian
	switch v := v.(type) {
	case byte:
		e.buf = append(e.buf, v)
		return c == 'y'
	case bool:
		n := uint32(0)
		if v {
			n = 1
		}
		e.uint32(n)
		return c == 'b'
	case int16:
		e.buf = le.AppendUint16(e.buf, uint16(v))
		return c == 'n'
	case uint16:
		e.buf = le.AppendUint16(e.buf, v)
		return c == 'q'
	case int32:
		e.uint32(uint32(v))
		return c == 'i'
	case uint32:
		e.uint32(v)
		return c == 'u'
	case int64:
		e.buf = le.AppendUint64(e.buf, uint64(v))
		return c == 'x'
	case uint64:
		e.buf = le.AppendUint64(e.buf, v)
		return c == 't'
	case float64:
		e.buf = le.AppendUint64(e.buf, math.Float64bits(v))
		return c == 'd'
	}
	return false
}

// string: a peer closes the connection on one that is not UTF-8 or has a NUL in it.
func (e *encoder) string(c byte, s string) error {
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		return fmt.Errorf("%.64q is not a string in UTF-8 without NUL bytes", s)
	}
	switch {
	case c == 'o' && !validPath(s):
		return fmt.Errorf("%.64q is not an object path", s)
	case c == 'g' && len(s) > 255:
		return fmt.Errorf("the signature %.64q is too long", s)
	case c == 'g':
		e.buf = append(e.buf, byte(len(s)))
	default:
		e.uint32(uint32(len(s)))
	}
	e.buf = append(append(e.buf, s...), 0)
	return nil
}

func validPath(s string) bool {
	if s == "/" {
		return true
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '/':
			if i == len(s)-1 || i > 0 && s[i-1] == '/' {
				return false
			}
		case i == 0 || c != '_' && !isAlnum(c):
			return false
		}
	}
	return s != ""
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// array: the length is that of the elements, without the padding before the first.
func (e *encoder) array(elem string, v any) error {
	at := len(e.buf)
	e.uint32(0)
	e.align(alignment(elem[0]))
	start := len(e.buf)
	put := func(v any) error { return e.value(elem, v) }
	var err error
	switch v := v.(type) {
	case []any:
		err = each(v, put)
	case []byte:
		err = each(v, put)
	case []string:
		err = each(v, put)
	case []uint32:
		err = each(v, put)
	default:
		return mismatch("a"+elem, v)
	}
	binary.LittleEndian.PutUint32(e.buf[at:], uint32(len(e.buf)-start))
	return err
}

func each[T any](list []T, f func(any) error) error {
	for _, v := range list {
		if err := f(v); err != nil {
			return err
		}
	}
	return nil
}
