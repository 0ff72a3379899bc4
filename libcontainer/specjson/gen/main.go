// Command gen writes the decoders and encoders that package jsontext is driven
// by, from the types' fields and tags. It runs in the folder of package specjson.
//
// It is linked with the code that it writes. After a field of state.Record has
// been removed, its lines in record_gen.go have to go by hand before gen can run.
package main

import (
	"log"
	"os"
	"reflect"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/libcontainer/state"
)

// output is one file to write.
type output struct {
	file    string
	pkgPath string // of the package that the file belongs to
	decode  []reflect.Type
	encode  []reflect.Type
	// room is what a decoding has memory for from the start. Without it, there
	// can be no pointers and lists.
	room *room
}

var outputs = []output{
	{
		file:    "spec_gen.go",
		pkgPath: "davit/libcontainer/specjson",
		decode: []reflect.Type{
			reflect.TypeFor[specs.Spec](), reflect.TypeFor[specs.Process](), reflect.TypeFor[specs.LinuxResources](),
		},
		encode: []reflect.Type{reflect.TypeFor[specs.State]()},
		room:   &specRoom,
	},
	{
		file:    "../state/record_gen.go",
		pkgPath: "davit/libcontainer/state",
		decode:  []reflect.Type{reflect.TypeFor[state.Record]()},
		encode:  []reflect.Type{reflect.TypeFor[state.Record]()},
	},
}

func main() {
	log.SetFlags(0)
	for _, o := range outputs {
		src, err := o.source()
		if err == nil {
			err = os.WriteFile(o.file, src, 0o644)
		}
		if err != nil {
			log.Fatalf("%s: %v", o.file, err)
		}
	}
}
