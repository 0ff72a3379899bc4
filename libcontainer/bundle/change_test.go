package bundle

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"
)

// change applies edits to testdata/base.json and returns the JSON text. Edits
// are separated by " && "; each is "path = JSON", or "- path" to remove a
// member. An index one beyond the end appends.
func change(t testing.TB, edits string) []byte {
	t.Helper()
	raw, err := os.ReadFile("testdata/base.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc any
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	for edit := range strings.SplitSeq(edits, " && ") {
		if edit == "" {
			continue
		}
		if name, ok := strings.CutPrefix(edit, "- "); ok {
			doc = assign(t, doc, steps(t, name), nil)
			continue
		}
		name, text, ok := strings.Cut(edit, " = ")
		if !ok || !json.Valid([]byte(text)) {
			t.Fatalf("bad edit %q", edit)
		}
		doc = assign(t, doc, steps(t, name), json.RawMessage(text))
	}
	out, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// steps splits a.b[0]["c.d"] into strings and ints.
func steps(t testing.TB, name string) (list []any) {
	t.Helper()
	for name != "" {
		switch {
		case name[0] == '.':
			name = name[1:]
		case strings.HasPrefix(name, `["`):
			quoted, err := strconv.QuotedPrefix(name[1:])
			if err != nil {
				t.Fatalf("bad path %q: %v", name, err)
			}
			key, _ := strconv.Unquote(quoted)
			list, name = append(list, key), name[len(quoted)+2:]
		case name[0] == '[':
			digits, rest, _ := strings.Cut(name[1:], "]")
			i, err := strconv.Atoi(digits)
			if err != nil {
				t.Fatalf("bad path %q: %v", name, err)
			}
			list, name = append(list, i), rest
		default:
			end := strings.IndexAny(name, ".[")
			if end < 0 {
				end = len(name)
			}
			list, name = append(list, name[:end]), name[end:]
		}
	}
	return list
}

// assign returns doc with value at the place, or without the place for nil.
func assign(t testing.TB, doc any, where []any, value any) any {
	t.Helper()
	if len(where) == 0 {
		return value
	}
	if raw, ok := doc.(json.RawMessage); ok {
		doc = nil
		if err := json.Unmarshal(raw, &doc); err != nil {
			t.Fatal(err)
		}
	}
	switch at := where[0].(type) {
	case string:
		object, ok := doc.(map[string]any)
		if !ok {
			object = map[string]any{}
		}
		if value == nil && len(where) == 1 {
			delete(object, at)
		} else {
			object[at] = assign(t, object[at], where[1:], value)
		}
		return object
	default:
		list, _ := doc.([]any)
		if at == len(list) {
			list = append(list, nil)
		}
		list[at.(int)] = assign(t, list[at.(int)], where[1:], value)
		return list
	}
}
