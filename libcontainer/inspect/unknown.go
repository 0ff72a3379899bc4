package inspect

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// unknown notes members that the specification doesn't know, which are ignored
// (config.md, Extensibility), and members that are given twice.
func (in *inspector) unknown(raw []byte) {
	w := &walker{in: in, dec: json.NewDecoder(bytes.NewReader(raw))}
	w.dec.UseNumber()
	_ = w.value("", reflect.TypeFor[specs.Spec]()) // what isn't JSON is reported already
}

// walker goes through a document beside the type that it is decoded to.
type walker struct {
	in  *inspector
	dec *json.Decoder
}

func (w *walker) value(path string, t reflect.Type) error {
	token, err := w.dec.Token()
	if err != nil {
		return err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if delim == '[' {
		return w.list(path, t)
	}
	return w.object(path, t)
}

func (w *walker) list(path string, t reflect.Type) error {
	var element reflect.Type
	if t != nil && t.Kind() == reflect.Slice {
		element = t.Elem()
	}
	for i := 0; w.dec.More(); i++ {
		if err := w.value(path+"["+strconv.Itoa(i)+"]", element); err != nil {
			return err
		}
	}
	_, err := w.dec.Token()
	return err
}

func (w *walker) object(path string, t reflect.Type) error {
	seen := make(map[string]bool)
	for w.dec.More() {
		token, err := w.dec.Token()
		if err != nil {
			return err
		}
		name, ok := token.(string)
		if !ok {
			return io.ErrUnexpectedEOF
		}
		at, member := w.member(path, name, t)
		if seen[name] {
			w.in.warning(at, "is given twice: the later value counts", "remove one")
		}
		seen[name] = true
		if err := w.value(at, member); err != nil {
			return err
		}
	}
	_, err := w.dec.Token()
	return err
}

// member is the path and type of an object's member; nil for what nobody decodes.
func (w *walker) member(path, name string, t reflect.Type) (string, reflect.Type) {
	if t == nil {
		return keyed(path, name), nil
	}
	if t.Kind() == reflect.Map {
		return path + "[" + strconv.Quote(name) + "]", t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return keyed(path, name), nil
	}
	at := keyed(path, name)
	near := ""
	for _, field := range reflect.VisibleFields(t) { // those of embedded structs, too
		tag, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case tag == "" || tag == "-":
		case tag == name:
			if path == "" && foreign(name) {
				w.in.note(at, "is for another platform and ignored", "")
				return at, nil
			}
			return at, field.Type
		case strings.EqualFold(tag, name):
			w.in.warning(at, "is taken for "+strconv.Quote(tag)+", by davit at least", "write it as the specification does")
			return at, field.Type
		case near == "" && close(tag, name):
			near = tag
		}
	}
	hint := ""
	if near != "" {
		hint = "is " + strconv.Quote(near) + " meant?"
	}
	w.in.note(at, "is not known to the specification, and ignored", hint)
	return at, nil
}

func keyed(path, name string) string {
	for _, r := range name {
		if r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			return path + "[" + strconv.Quote(name) + "]"
		}
	}
	switch {
	case name == "":
		return path + `[""]`
	case path == "":
		return name
	}
	return path + "." + name
}

// foreign are the sections of other platforms.
func foreign(name string) bool {
	switch name {
	case "solaris", "windows", "vm", "zos", "freebsd":
		return true
	}
	return false
}

// close tells whether two names differ by one letter: one more, one less or another.
func close(a, b string) bool {
	if len(a) < len(b) {
		a, b = b, a
	}
	if len(a)-len(b) > 1 || len(b) < 3 {
		return false
	}
	i := 0
	for i < len(b) && a[i] == b[i] {
		i++
	}
	if len(a) == len(b) {
		return i < len(b) && a[i+1:] == b[i+1:]
	}
	return a[i+1:] == b[i:]
}
