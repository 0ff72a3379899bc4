package main

import (
	"fmt"
	"reflect"
	"strings"
)

func (s *source) decodeFunc(t reflect.Type) {
	all := s.fields(t)
	s.p("\nfunc %s(d *%s, v *%s) {", s.decoder(t), s.decoderType(), s.typeName(t))
	s.p("for ok := d.Object(); ok; ok = d.Member() {\nagain:\nswitch d.Name {")
	var names []string
	for _, f := range all {
		names = append(names, f.name)
		s.p("case %q:\n%s", f.name, s.decodeField(t, f))
	}
	s.p("default:\nif d.Other(%q) {\ngoto again\n}\n}\n}\n}", strings.Join(names, " "))
}

// decodeField returns the statements that read a member's value.
func (s *source) decodeField(t reflect.Type, f field) string {
	place := "v." + f.goName
	switch f.typ.Kind() {
	case reflect.Pointer:
		if s.room == nil || !f.optional {
			break
		}
		elem := f.typ.Elem()
		if elem.Kind() == reflect.Struct {
			return fmt.Sprintf("if section(d, &%s, &d.%s) {\n%s(d, %s)\n}", place, s.single(elem), s.decoder(elem), place)
		}
		return fmt.Sprintf("if p := optional(d, &%s); p != nil {\n%s\n}", place, s.decodeValue(t, f, elem, "*p", "p"))
	case reflect.Slice:
		read := ""
		if !f.optional {
			read = "d.NotNull()\n"
		}
		if f.typ == stringsType {
			return read + fmt.Sprintf("d.Strings(&%s)", place)
		}
		if s.room == nil {
			break
		}
		return read + fmt.Sprintf("%s(d, &%s)", s.list(f.typ.Elem()), place)
	case reflect.Map:
		if !f.optional || f.typ.Key() != reflect.TypeFor[string]() {
			break
		}
		if f.typ == mapType {
			return fmt.Sprintf("d.StringMap(&%s)", place)
		}
		if s.room == nil || f.typ.Elem().Kind() != reflect.Struct {
			break
		}
		return fmt.Sprintf("table(d, &%s, %s)", place, s.element(f.typ.Elem()))
	case reflect.String, reflect.Bool:
		name := f.typ.Kind().String()
		method := strings.ToUpper(name[:1]) + name[1:]
		if f.optional {
			method = "Optional" + method
		}
		if f.typ.PkgPath() != "" {
			return fmt.Sprintf("d.%s((*%s)(&%s))", method, name, place)
		}
		return fmt.Sprintf("d.%s(&%s)", method, place)
	default:
		read := s.decodeValue(t, f, f.typ, place, "&"+place)
		if f.optional {
			read = fmt.Sprintf("if !d.Null() {\n%s\n}", read)
		}
		return read
	}
	s.fail(t, f)
	return ""
}

// decodeValue returns the statement that reads a value that cannot be null. The
// place is given as a variable and as a pointer.
func (s *source) decodeValue(t reflect.Type, f field, typ reflect.Type, place, pointer string) string {
	switch {
	case typ == timeType:
		return fmt.Sprintf("d.Time(%s)", pointer)
	case typ.Kind() == reflect.Struct:
		return fmt.Sprintf("%s(d, %s)", s.decoder(typ), pointer)
	case typ == reflect.TypeFor[bool]():
		return fmt.Sprintf("d.Bool(%s)", pointer)
	case isSigned(typ):
		return s.decodeInteger("Signed", typ, place)
	case isUnsigned(typ):
		return s.decodeInteger("Unsigned", typ, place)
	}
	s.fail(t, f)
	return ""
}

func (s *source) decodeInteger(method string, typ reflect.Type, place string) string {
	bits := fmt.Sprint(typ.Bits())
	if typ.Kind() == reflect.Int || typ.Kind() == reflect.Uint {
		s.imports["strconv"] = true
		bits = "strconv.IntSize"
	}
	if typ == reflect.TypeFor[int64]() || typ == reflect.TypeFor[uint64]() {
		return fmt.Sprintf("%s = d.%s(%s)", place, method, bits)
	}
	return fmt.Sprintf("%s = %s(d.%s(%s))", place, s.typeName(typ), method, bits)
}
