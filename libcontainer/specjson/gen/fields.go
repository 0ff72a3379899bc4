package main

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// field is a member of an object.
type field struct {
	name     string // in JSON
	goName   string
	typ      reflect.Type
	optional bool // omitempty: the member may be left out, and be null
}

// foreign has the sections of other platforms, which are not decoded.
var foreign = map[string]bool{"Solaris": true, "Windows": true, "VM": true, "ZOS": true, "FreeBSD": true}

// fields returns the members of a struct type, those of embedded structs
// included, and refuses what encoding/json has rules for that gen hasn't.
func fields(t reflect.Type) ([]field, error) {
	var all []field
	for f := range t.Fields() {
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		switch {
		case f.Anonymous && tag == "" && f.Type.Kind() == reflect.Struct:
			promoted, err := fields(f.Type)
			if err != nil {
				return nil, err
			}
			all = append(all, promoted...)
			continue
		case t == reflect.TypeFor[specs.Spec]() && foreign[f.Name]:
			continue
		case !f.IsExported() || f.Anonymous || !plain(name) || options != "" && options != "omitempty":
			return nil, fmt.Errorf("%s.%s: cannot handle it with tag %q", t, f.Name, f.Tag)
		case ownRules(f.Type):
			return nil, fmt.Errorf("%s.%s: %s has its own rules", t, f.Name, f.Type)
		}
		all = append(all, field{name: name, goName: f.Name, typ: f.Type, optional: options == "omitempty"})
	}
	for i, f := range all {
		for _, g := range all[:i] {
			if strings.EqualFold(f.name, g.name) || f.goName == g.goName {
				return nil, fmt.Errorf("%s: %s and %s have the same name", t, f.goName, g.goName)
			}
		}
	}
	return all, nil
}

// ownRules reports whether values of a type, or what they consist of, decode or
// encode themselves. Decoder and Encoder know how times do it.
func ownRules(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return ownRules(t.Elem())
	}
	if t == timeType {
		return false
	}
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[json.Unmarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) ||
		p.Implements(reflect.TypeFor[json.Marshaler]()) || p.Implements(reflect.TypeFor[encoding.TextMarshaler]())
}

// plain reports whether a name needs no escapes and can be in a list separated by spaces.
func plain(name string) bool {
	for _, c := range name {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
