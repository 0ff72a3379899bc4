// Package specjson decodes config.json and its parts, and encodes what hooks
// are told, without encoding/json: a runtime decodes one configuration in its
// life, and would spend most of that time on encoding/json's preparation of the
// types.
//
// The decoders are those of package jsontext: what they accept they decode to
// what encoding/json does, with these differences to it.
//   - The sections of other platforms are checked to be JSON and left out.
//   - A null is taken only where the specification lets the member be left out.
//   - Text with invalid UTF-8, or with a NUL in a string, is refused.
//
// Errors don't say what is wrong with the text.
package specjson

import (
	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/libcontainer/specjson/jsontext"
)

//go:generate go run ./gen

// DecodeSpec decodes a config.json. The strings of the result are parts of text,
// and what it points to is mostly one piece of memory.
func DecodeSpec(text string) (*specs.Spec, error) {
	d := newRoom(text)
	decodeSpec(d, &d.theSpec)
	return &d.theSpec, d.End()
}

// DecodeProcess decodes a process object on its own.
func DecodeProcess(text string) (*specs.Process, error) {
	d := newRoom(text)
	decodeProcess(d, &d.theProcess)
	return &d.theProcess, d.End()
}

// DecodeResources decodes a linux.resources object on its own.
func DecodeResources(text string) (*specs.LinuxResources, error) {
	d := newRoom(text)
	decodeLinuxResources(d, &d.theLinuxResources)
	return &d.theLinuxResources, d.End()
}

// EncodeState encodes the state of a container (runtime.md, "State").
func EncodeState(s *specs.State) []byte {
	var e jsontext.Encoder
	encodeState(&e, s)
	text, _ := e.Text() // only times can fail
	return text
}
