package main

import (
	"fmt"
	"reflect"
)

func (s *source) encodeFunc(t reflect.Type) {
	s.p("\nfunc %s(e *jsontext.Encoder, v *%s) {\ne.Object()", s.encoder(t), s.typeName(t))
	for _, f := range s.fields(t) {
		place := "v." + f.goName
		write, filled := s.encodeValue(f.typ, place)
		// encoding/json writes null for a nil map.
		if write == "" || f.optional && filled == "" || f.typ == mapType && !f.optional {
			s.fail(t, f)
		}
		write = fmt.Sprintf("e.Name(%q)\n%s", f.name, write)
		if f.optional {
			write = fmt.Sprintf("if %s {\n%s\n}", fmt.Sprintf(filled, place), write)
		}
		s.p("%s", write)
	}
	s.p("e.End()\n}")
}

// encodeValue returns the statement that writes a value, and the condition under
// which it isn't empty.
func (s *source) encodeValue(typ reflect.Type, place string) (write, filled string) {
	switch {
	case typ == timeType:
		return fmt.Sprintf("e.Time(%s)", place), ""
	case typ == mapType:
		return fmt.Sprintf("e.StringMap(%s)", place), "len(%s) > 0"
	case typ.Kind() == reflect.Struct:
		return fmt.Sprintf("%s(e, &%s)", s.encoder(typ), place), ""
	case typ.Kind() == reflect.Bool:
		return fmt.Sprintf("e.Bool(%s)", place), "%s"
	case typ.Kind() == reflect.String:
		if typ.PkgPath() != "" {
			return fmt.Sprintf("e.String(string(%s))", place), `%s != ""`
		}
		return fmt.Sprintf("e.String(%s)", place), `%s != ""`
	case isSigned(typ):
		return fmt.Sprintf("e.Signed(int64(%s))", place), "%s != 0"
	case isUnsigned(typ):
		return fmt.Sprintf("e.Unsigned(uint64(%s))", place), "%s != 0"
	}
	return "", ""
}
