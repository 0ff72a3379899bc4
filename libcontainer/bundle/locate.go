package bundle

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
)

// locate walks valid JSON along the Go type it is meant for and returns the
// first value of the wrong kind, or nil. encoding/json names the field too,
// but without array indexes and map keys.
func locate(raw []byte, t reflect.Type) *Error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	l := locator{dec: dec}
	var root path
	return l.value(&root, t, false)
}

type locator struct{ dec *json.Decoder }

var foreignType = reflect.TypeFor[foreign]()

// value consumes one value. nullable says whether its place may be null, which
// then means that it isn't given.
func (l *locator) value(p *path, t reflect.Type, nullable bool) *Error {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == foreignType || t.Kind() == reflect.Interface {
		return l.skip()
	}
	token, err := l.dec.Token()
	if err != nil {
		return &Error{Path: p.String(), Reason: err.Error()}
	}
	var got string
	switch v := token.(type) {
	case nil:
		if nullable {
			return nil
		}
		got = "null"
	case bool:
		if t.Kind() == reflect.Bool {
			return nil
		}
		got = "boolean"
	case string:
		if t.Kind() == reflect.String {
			return nil
		}
		got = "string"
	case json.Number:
		if isInteger(t.Kind()) {
			return fits(p, t, v.String())
		}
		got = "number"
	case json.Delim:
		switch {
		case v == '{' && t.Kind() == reflect.Struct:
			return l.object(p, t)
		case v == '{' && t.Kind() == reflect.Map:
			return l.mapping(p, t)
		case v == '[' && t.Kind() == reflect.Slice:
			return l.array(p, t)
		case v == '{':
			got = "object"
		default:
			got = "array"
		}
	}
	return &Error{Path: p.String(), Reason: "expected " + kindName(t) + ", got " + got}
}

func (l *locator) object(p *path, t reflect.Type) *Error {
	for l.dec.More() {
		token, err := l.dec.Token()
		if err != nil {
			return &Error{Path: p.String(), Reason: err.Error()}
		}
		name, _ := token.(string)
		field, canonical, ok := memberOf(t, name)
		if !ok {
			if e := l.skip(); e != nil {
				return e
			}
			continue
		}
		m := p.member(canonical)
		// The types mark what the spec requires by the absence of omitempty.
		nullable := strings.Contains(field.Tag.Get("json"), ",omitempty")
		if e := l.value(&m, field.Type, nullable); e != nil {
			return e
		}
	}
	l.dec.Token()
	return nil
}

func (l *locator) mapping(p *path, t reflect.Type) *Error {
	for l.dec.More() {
		token, err := l.dec.Token()
		if err != nil {
			return &Error{Path: p.String(), Reason: err.Error()}
		}
		name, _ := token.(string)
		k := p.key(name)
		if e := l.value(&k, t.Elem(), false); e != nil {
			return e
		}
	}
	l.dec.Token()
	return nil
}

func (l *locator) array(p *path, t reflect.Type) *Error {
	for i := 0; l.dec.More(); i++ {
		element := p.at(i)
		if e := l.value(&element, t.Elem(), false); e != nil {
			return e
		}
	}
	l.dec.Token()
	return nil
}

func (l *locator) skip() *Error {
	var any json.RawMessage
	if err := l.dec.Decode(&any); err != nil {
		return &Error{Path: "$", Reason: err.Error()}
	}
	return nil
}

// memberOf finds the struct field for a JSON name, promoted ones included: an
// exact match first, then one in another case.
func memberOf(t reflect.Type, name string) (field reflect.StructField, canonical string, ok bool) {
	for _, f := range reflect.VisibleFields(t) {
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if tag == "" {
			continue
		}
		if tag == name {
			return f, tag, true
		}
		if !ok && strings.EqualFold(tag, name) {
			field, canonical, ok = f, tag, true
		}
	}
	return field, canonical, ok
}

func fits(p *path, t reflect.Type, number string) *Error {
	want := kindName(t)
	if strings.ContainsAny(number, ".eE") {
		return &Error{
			Path:   p.String(),
			Reason: "expected " + want + ", got number " + clip(number),
			Hint:   "write it without fraction and exponent",
		}
	}
	var err error
	if isUnsigned(t.Kind()) {
		_, err = strconv.ParseUint(number, 10, t.Bits())
	} else {
		_, err = strconv.ParseInt(number, 10, t.Bits())
	}
	if err != nil {
		return &Error{Path: p.String(), Reason: "number " + clip(number) + " is out of range: expected " + want}
	}
	return nil
}

// clip keeps a number of a million digits out of the logs.
func clip(number string) string {
	if len(number) > 32 {
		return number[:32] + "…"
	}
	return number
}

func isInteger(k reflect.Kind) bool {
	return k >= reflect.Int && k <= reflect.Uint64
}

func isUnsigned(k reflect.Kind) bool {
	return k >= reflect.Uint && k <= reflect.Uint64
}

func kindName(t reflect.Type) string {
	switch k := t.Kind(); {
	case k == reflect.String:
		return "string"
	case k == reflect.Bool:
		return "boolean"
	case k == reflect.Slice:
		return "array"
	case isUnsigned(k):
		return "unsigned integer of " + strconv.Itoa(t.Bits()) + " bits"
	case isInteger(k):
		return "integer of " + strconv.Itoa(t.Bits()) + " bits"
	default:
		return "object"
	}
}
