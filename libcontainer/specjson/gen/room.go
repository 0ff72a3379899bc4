package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// room is the memory of one decoding: a place for everything that a pointer to a
// struct is to, and for as many elements of all lists of a type as given here.
type room struct {
	lists   []roomList
	strings int
}

type roomList struct {
	element reflect.Type
	length  int
}

// specRoom fits what engines write for usual containers, the 374 names of a
// default seccomp profile included. The order is that of config.json, so that
// what is used together lies together.
var specRoom = room{
	lists: []roomList{
		{reflect.TypeFor[uint32](), 8},
		{reflect.TypeFor[specs.POSIXRlimit](), 4},
		{reflect.TypeFor[specs.Mount](), 16},
		{reflect.TypeFor[specs.Hook](), 4},
		{reflect.TypeFor[specs.LinuxIDMapping](), 4},
		{reflect.TypeFor[specs.LinuxNamespace](), 8},
		{reflect.TypeFor[specs.LinuxDeviceCgroup](), 12},
		{reflect.TypeFor[specs.Arch](), 4},
		{reflect.TypeFor[specs.LinuxSyscall](), 24},
		{reflect.TypeFor[specs.LinuxSeccompArg](), 12},
	},
	strings: 576,
}

func (r *room) has(element reflect.Type) bool {
	return slices.ContainsFunc(r.lists, func(l roomList) bool { return l.element == element })
}

func title(t reflect.Type) string { return strings.ToUpper(t.Name()[:1]) + t.Name()[1:] }

// decoderType is the type that the decoders are driven by.
func (s *source) decoderType() string {
	if s.room != nil {
		return "room"
	}
	return "jsontext.Decoder"
}

// single returns the place of a struct that a pointer is to.
func (s *source) single(t reflect.Type) string {
	s.singles = append(s.singles, t)
	return "the" + t.Name()
}

// list returns the name of the function that reads a list of a type.
func (s *source) list(element reflect.Type) string {
	if !slices.Contains(s.lists, element) {
		s.lists = append(s.lists, element)
	}
	return "list" + title(element)
}

// element returns the name of the decoder of a struct that documents have many of.
func (s *source) element(t reflect.Type) string {
	if !slices.Contains(s.elements, t) {
		s.elements = append(s.elements, t)
	}
	return s.decoder(t)
}

func (s *source) roomType() {
	s.p("\ntype room struct {\njsontext.Decoder")
	for _, l := range s.room.lists {
		s.p("spare%s []%s", title(l.element), s.typeName(l.element))
	}
	for _, t := range s.decoded {
		if slices.Contains(s.decode, t) || slices.Contains(s.singles, t) {
			s.p("the%s %s", t.Name(), s.typeName(t))
		}
	}
	for _, l := range s.room.lists {
		s.p("room%s [%d]%s", title(l.element), l.length, s.typeName(l.element))
	}
	s.p("roomString [%d]string", s.room.strings)
	s.p("}\n\nfunc newRoom(text string) *room {\nd := new(room)\nd.Start(text, d.roomString[:0])")
	for _, l := range s.room.lists {
		s.p("d.spare%[1]s = d.room%[1]s[:0]", title(l.element))
	}
	s.p("return d\n}")
	s.checkSingles()
}

// checkSingles makes sure that no place is for two values of a document.
func (s *source) checkSingles() {
	for i, t := range s.singles {
		if slices.Contains(s.singles[:i], t) && s.err == nil {
			s.err = fmt.Errorf("%s is in several places, and there is room for one", t)
		}
	}
	for _, t := range s.elements {
		for _, f := range s.fields(t) {
			if f.typ.Kind() == reflect.Struct && !slices.Contains(s.elements, f.typ) ||
				f.typ.Kind() == reflect.Pointer && f.typ.Elem().Kind() == reflect.Struct {
				s.fail(t, f)
			}
		}
	}
}

// listFunc writes the function that reads lists of a type. Its slices are laid
// out in the room as long as that lasts. Like encoding/json, it decodes into the
// elements that are there already when a name is given twice.
func (s *source) listFunc(t reflect.Type) {
	name, roomy := s.typeName(t), s.room.has(t)
	s.p("\nfunc %s(d *room, v *[]%s) {\nif d.Null() {\n*v = nil\nreturn\n}", s.list(t), name)
	s.p("all := (*v)[:0]")
	if roomy {
		s.p("fresh := cap(all) == 0\nif fresh {\nall = d.spare%s\n}", title(t))
	}
	s.p("n := 0\nfor ok := d.Array(); ok; ok = d.Element() {\nif n == cap(all) {")
	s.p("all = append(all, make([]%s, max(moreElements, n))...)\n}\nn++\nall = all[:n]", name)
	s.p("%s\n}", s.decodeElement(t, "all[n-1]"))
	if roomy {
		s.p("if fresh {\nd.spare%s = all[n:]\nall = all[:n:n]\n}", title(t))
	}
	s.p("if n == 0 {\nall = []%s{}\n}\n*v = all\n}", name)
}

// decodeElement returns the statement that reads an element of a list.
func (s *source) decodeElement(t reflect.Type, place string) string {
	switch {
	case t.Kind() == reflect.Struct && t != timeType:
		return fmt.Sprintf("%s(d, &%s)", s.element(t), place)
	case t.Kind() == reflect.String:
		return fmt.Sprintf("d.String((*string)(&%s))", place)
	case isUnsigned(t) && t.Kind() != reflect.Uint8: // encoding/json has base64 for []byte
		return s.decodeInteger("Unsigned", t, place)
	}
	if s.err == nil {
		s.err = fmt.Errorf("cannot handle a list of %s", t)
	}
	return ""
}
