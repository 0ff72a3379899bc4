package main

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// The types may have got fields since, with a new release of runtime-spec for one.
func TestGeneratedFilesAreUpToDate(t *testing.T) {
	for _, o := range outputs {
		want, err := o.source()
		if err != nil {
			t.Fatal(err)
		}
		have, err := os.ReadFile(filepath.Join("..", o.file))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, want) {
			t.Errorf("%s differs from what the types ask for: run go generate in libcontainer/specjson", o.file)
		}
	}
}

type (
	inner struct {
		A string `json:"a"`
	}
	untagged struct{ A, B string }
	embedded struct{ *inner }
	shadowed struct {
		inner
		A string `json:"a"`
	}
	otherCase struct {
		A string `json:"a"`
		B string `json:"A"`
	}
)

// tagged is a struct of one field.
func tagged[T any](tag reflect.StructTag) reflect.Type {
	return reflect.StructOf([]reflect.StructField{{Name: "A", Type: reflect.TypeFor[T](), Tag: tag}})
}

// What gen has no rules for must stop it, not lead to code that differs from
// encoding/json.
func TestRefusesUnknownRules(t *testing.T) {
	for what, typ := range map[string]reflect.Type{
		"untagged":         reflect.TypeFor[untagged](),
		"private":          reflect.TypeFor[strings.Builder](),
		"embedded":         reflect.TypeFor[embedded](),
		"shadowed":         reflect.TypeFor[shadowed](),
		"other case":       reflect.TypeFor[otherCase](),
		"space":            tagged[string](`json:"a b"`),
		"string":           tagged[int](`json:"a,string"`),
		"omitzero":         tagged[int](`json:"a,omitzero"`),
		"ignored":          tagged[int](`json:"-"`),
		"float":            tagged[float64](`json:"a"`),
		"interface":        tagged[any](`json:"a"`),
		"bytes":            tagged[[]byte](`json:"a"`),
		"array":            tagged[[2]string](`json:"a"`),
		"own rules":        tagged[netip.Addr](`json:"a"`),
		"own rules inside": tagged[[]netip.Addr](`json:"a"`),
		"times":            tagged[[]time.Time](`json:"a"`),
		"pointer":          tagged[*inner](`json:"a"`),
		"map":              tagged[map[string]string](`json:"a"`),
		"int keys":         tagged[map[int]string](`json:"a,omitempty"`),
	} {
		o := output{pkgPath: "davit/x", decode: []reflect.Type{typ}, room: &room{}}
		if src, err := o.source(); err == nil {
			t.Errorf("%s: made\n%s", what, src)
		}
	}
}

// Only a room has the functions for pointers and lists, and one place for one value.
func TestRoom(t *testing.T) {
	type twice struct {
		A *inner `json:"a,omitempty"`
		B *inner `json:"b,omitempty"`
	}
	o := output{pkgPath: "davit/x", decode: []reflect.Type{reflect.TypeFor[twice]()}}
	if _, err := o.source(); err == nil {
		t.Error("pointers without a room")
	}
	o.room = &room{}
	if _, err := o.source(); err == nil || !strings.Contains(err.Error(), "several places") {
		t.Errorf("one place for two values: %v", err)
	}
	// An element has its like beside it.
	type once struct {
		A *inner `json:"a,omitempty"`
	}
	type deeper struct {
		A once `json:"a"`
	}
	for _, typ := range []reflect.Type{
		tagged[[]once](`json:"b"`), tagged[[]deeper](`json:"b"`), tagged[map[string]once](`json:"b,omitempty"`),
	} {
		o.decode = []reflect.Type{typ}
		if src, err := o.source(); err == nil {
			t.Errorf("one place for all elements:\n%s", src)
		}
	}
}
