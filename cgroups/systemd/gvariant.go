package systemd

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"davit/cgroups/systemd/dbus"
)

// ParseVariant reads a value in GVariant's text format
// (https://docs.gtk.org/glib/gvariant-text-format.html): true, 'text', 42, uint64 42, 1.5,
// ['a', 'b'], ('a', 1), <value>, @as []. A number is of type i, or d with a decimal point,
// unless something says otherwise. Dictionaries, maybe types and byte strings, which no property
// of a unit has a use for, aren't read.
func ParseVariant(text string) (dbus.Variant, error) {
	p := &textParser{text: text}
	v, err := p.value("", 0)
	if err == nil && p.skip() != 0 {
		err = p.errorf("is more than one value")
	}
	return v, err
}

type textParser struct {
	text string
	at   int
}

func (p *textParser) errorf(format string, args ...any) error {
	return fmt.Errorf("%q at character %d: %s (GVariant text format)", p.text, p.at+1, fmt.Sprintf(format, args...))
}

// skip passes over blanks and returns the next byte, 0 at the end.
func (p *textParser) skip() byte {
	for p.at < len(p.text) && strings.IndexByte(" \t\n\r", p.text[p.at]) >= 0 {
		p.at++
	}
	if p.at == len(p.text) {
		return 0
	}
	return p.text[p.at]
}

// word takes what can be a keyword or a number.
func (p *textParser) word() string {
	start := p.at
	for p.at < len(p.text) && strings.IndexByte(" \t\n\r,)]>:}", p.text[p.at]) < 0 {
		p.at++
	}
	return p.text[start:p.at]
}

const maxNesting = 16

// value reads a value of type want, or of whatever type it has if that is "".
func (p *textParser) value(want string, depth int) (v dbus.Variant, err error) {
	if depth > maxNesting {
		return v, p.errorf("is nested too deeply")
	}
	switch c := p.skip(); c {
	case 0:
		return v, p.errorf("a value is missing")
	case '\'', '"':
		v, err = p.quoted(want)
	case '[':
		v, err = p.array(want, depth)
	case '(':
		v, err = p.tuple(want, depth)
	case '<':
		v, err = p.variant(depth)
	case '@':
		start := p.at + 1
		for p.at++; p.at < len(p.text) && strings.IndexByte("ybnqiuxtdsogva(){}", p.text[p.at]) >= 0; {
			p.at++
		}
		sig := p.text[start:p.at]
		if dbus.CheckType(sig) != nil {
			return v, p.errorf("%q is not a type", sig)
		}
		return p.typed(sig, want, depth)
	default:
		start := p.at
		w := p.word()
		if sig := keywordType(w); sig != "" {
			return p.typed(sig, want, depth)
		}
		if v, err = scalar(w, want); err != nil {
			p.at = start
			return v, p.errorf("%v", err)
		}
	}
	if err == nil && want != "" && v.Sig != want {
		err = p.errorf("type %q is wanted, not %q", want, v.Sig)
	}
	return v, err
}

// typed reads a value after its type.
func (p *textParser) typed(sig, want string, depth int) (dbus.Variant, error) {
	if want != "" && want != sig {
		return dbus.Variant{}, p.errorf("type %q is wanted, not %q", want, sig)
	}
	return p.value(sig, depth+1)
}

func keywordType(word string) string {
	switch word {
	case "boolean":
		return "b"
	case "byte":
		return "y"
	case "int16":
		return "n"
	case "uint16":
		return "q"
	case "int32":
		return "i"
	case "uint32":
		return "u"
	case "int64":
		return "x"
	case "uint64":
		return "t"
	case "double":
		return "d"
	case "string":
		return "s"
	case "objectpath":
		return "o"
	case "signature":
		return "g"
	}
	return ""
}

// scalar reads a boolean or a number.
func scalar(word, want string) (dbus.Variant, error) {
	if word == "true" || word == "false" {
		return dbus.Variant{Sig: "b", Value: word == "true"}, nil
	}
	if want == "" {
		want = "i"
		if strings.ContainsAny(word, ".eE") && !strings.HasPrefix(word, "0x") {
			want = "d"
		}
	}
	v := dbus.Variant{Sig: want}
	bits, signed := 0, false
	switch want {
	case "y":
		bits = 8
	case "n", "q":
		bits, signed = 16, want == "n"
	case "i", "u":
		bits, signed = 32, want == "i"
	case "x", "t":
		bits, signed = 64, want == "x"
	case "d":
		f, err := strconv.ParseFloat(word, 64)
		v.Value = f
		if err != nil {
			err = fmt.Errorf("%q is not a number", word)
		}
		return v, err
	default:
		return v, fmt.Errorf("type %q is wanted, not %q", want, word)
	}
	var n int64
	var u uint64
	var err error
	if signed {
		n, err = strconv.ParseInt(word, 0, bits)
	} else {
		u, err = strconv.ParseUint(word, 0, bits)
	}
	if err != nil || strings.Contains(word, "_") {
		return v, fmt.Errorf("%q is not a number of type %q; text is in quotes", word, want)
	}
	v.Value = sized(want, n, u)
	return v, nil
}

func sized(sig string, n int64, u uint64) any {
	switch sig {
	case "y":
		return byte(u)
	case "n":
		return int16(n)
	case "q":
		return uint16(u)
	case "i":
		return int32(n)
	case "u":
		return uint32(u)
	case "x":
		return n
	}
	return u
}

// quoted reads a string, with C's escapes.
func (p *textParser) quoted(want string) (dbus.Variant, error) {
	end := p.text[p.at]
	var b strings.Builder
	for p.at++; ; p.at++ {
		if p.at >= len(p.text) {
			return dbus.Variant{}, p.errorf("the string has no end")
		}
		c := p.text[p.at]
		if c == end {
			break
		}
		if c != '\\' {
			b.WriteByte(c)
			continue
		}
		if err := p.escape(&b); err != nil {
			return dbus.Variant{}, err
		}
	}
	p.at++
	if s := b.String(); !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		return dbus.Variant{}, p.errorf("the string is not UTF-8 without NUL bytes")
	}
	sig := "s"
	if want == "o" || want == "g" {
		sig = want
	}
	return dbus.Variant{Sig: sig, Value: b.String()}, nil
}

// escape reads what follows a backslash, and leaves p at its last byte.
func (p *textParser) escape(b *strings.Builder) error {
	if p.at++; p.at >= len(p.text) {
		return p.errorf("the string has no end")
	}
	c := p.text[p.at]
	if i := strings.IndexByte("abfnrtv", c); i >= 0 {
		b.WriteByte("\a\b\f\n\r\t\v"[i])
		return nil
	}
	digits := 0
	switch c {
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	default:
		b.WriteByte(c)
		return nil
	}
	if p.at+digits >= len(p.text) {
		return p.errorf("\\%c needs %d hexadecimal digits", c, digits)
	}
	n, err := strconv.ParseUint(p.text[p.at+1:p.at+1+digits], 16, 32)
	if err != nil {
		return p.errorf("\\%c needs %d hexadecimal digits", c, digits)
	}
	p.at += digits
	b.WriteRune(rune(n))
	return nil
}

// items reads values up to the closing byte.
func (p *textParser) items(closing byte, read func(i int) error) error {
	p.at++
	for i := 0; ; i++ {
		if p.skip() == closing {
			p.at++
			return nil
		}
		if err := read(i); err != nil {
			return err
		}
		switch p.skip() {
		case ',':
			p.at++
		case closing:
		default:
			return p.errorf("%q or a comma is missing", closing)
		}
	}
}

func (p *textParser) array(want string, depth int) (dbus.Variant, error) {
	elem := ""
	if want != "" {
		if want[0] != 'a' || want[1] == '{' {
			return dbus.Variant{}, p.errorf("type %q is wanted, not an array", want)
		}
		elem = want[1:]
	}
	list := []any{}
	err := p.items(']', func(int) error {
		v, err := p.value(elem, depth+1)
		elem = v.Sig
		list = append(list, v.Value)
		return err
	})
	if err == nil && elem == "" {
		err = p.errorf("an empty array needs its type in front, as in @as []")
	}
	return dbus.Variant{Sig: "a" + elem, Value: list}, err
}

func (p *textParser) tuple(want string, depth int) (dbus.Variant, error) {
	rest := ""
	if want != "" {
		if want[0] != '(' {
			return dbus.Variant{}, p.errorf("type %q is wanted, not a tuple", want)
		}
		rest = want[1 : len(want)-1]
	}
	sig, list := "", []any{}
	err := p.items(')', func(int) error {
		elem := ""
		if want != "" {
			var err error
			if elem, rest, err = dbus.SplitType(rest); err != nil {
				return p.errorf("the tuple has more values than %q", want)
			}
		}
		v, err := p.value(elem, depth+1)
		sig += v.Sig
		list = append(list, v.Value)
		return err
	})
	if err == nil && (rest != "" || len(list) == 0) {
		err = p.errorf("the tuple lacks values")
	}
	return dbus.Variant{Sig: "(" + sig + ")", Value: list}, err
}

func (p *textParser) variant(depth int) (dbus.Variant, error) {
	p.at++
	v, err := p.value("", depth+1)
	if err != nil {
		return v, err
	}
	if p.skip() != '>' {
		return v, p.errorf(`">" is missing`)
	}
	p.at++
	return dbus.Variant{Sig: "v", Value: v}, nil
}
