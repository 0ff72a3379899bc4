package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"unicode/utf8"
	"unsafe"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"davit/libcontainer/specjson"
)

// document is specs.Spec without the sections of other platforms: config.md
// lets a configuration carry them, and here they are checked to be JSON but
// not decoded. The fields shadow those of the embedded Spec. This also spares
// encoding/json the preparation of some twenty types in each process, about a
// fifth of what the first Unmarshal costs.
type document struct {
	specs.Spec
	Solaris foreign `json:"solaris"`
	Windows foreign `json:"windows"`
	VM      foreign `json:"vm"`
	ZOS     foreign `json:"zos"`
	FreeBSD foreign `json:"freebsd"`
}

type foreign struct{}

func (*foreign) UnmarshalJSON([]byte) error { return nil }

// Parse decodes a config.json and checks no more than that: use [Check] next.
// Its errors are an [*Error], or [Errors] for strings with a NUL byte.
//
// Members match their names in any case, and of a name given twice the later
// wins, both as encoding/json does it. Unknown members are ignored. Anything
// after the document, invalid UTF-8 (encoding/json alone would replace it, and
// a path would become another path) and nesting deeper than encoding/json's
// 10,000 are errors.
//
// The result's strings lie in raw, which must not change any more.
func Parse(raw []byte) (*specs.Spec, error) {
	// specjson takes all that is usual. What it refuses goes through
	// encoding/json, which takes the unusual too and knows what is wrong.
	if spec, err := specjson.DecodeSpec(text(raw)); err == nil {
		return spec, nil
	}
	return parse(raw)
}

func parse(raw []byte) (*specs.Spec, error) {
	var doc document
	if err := decode(raw, &doc); err != nil {
		return nil, err
	}
	if mayHoldNUL(raw) {
		var c checker
		c.specStrings(&doc.Spec)
		if len(c.errs) > 0 {
			return nil, c.errs
		}
	}
	return &doc.Spec, nil
}

// ParseProcess decodes a process object on its own, as `exec --process` takes
// it. Paths in errors start at that object. Its strings lie in raw, as Parse's do.
func ParseProcess(raw []byte) (*specs.Process, error) {
	if p, err := specjson.DecodeProcess(text(raw)); err == nil {
		return p, nil
	}
	return parseProcess(raw)
}

func parseProcess(raw []byte) (*specs.Process, error) {
	var p specs.Process
	if err := decode(raw, &p); err != nil {
		return nil, err
	}
	if mayHoldNUL(raw) {
		var c checker
		c.processStrings(&path{}, &p)
		if len(c.errs) > 0 {
			return nil, c.errs
		}
	}
	return &p, nil
}

// text spares the copy, which costs a page fault for every 4 KiB: a fifth of the
// whole decoding.
func text(raw []byte) string { return unsafe.String(unsafe.SliceData(raw), len(raw)) }

// decode is one Unmarshal. The slow search for the exact place happens only
// when that fails, or when there are nulls: encoding/json takes a null for
// anything and leaves a zero behind.
func decode(raw []byte, into any) error {
	if !utf8.Valid(raw) {
		return notJSON(raw, invalidUTF8(raw), "not valid UTF-8")
	}
	err := json.Unmarshal(raw, into)
	if err == nil && !mayHoldNull(raw) {
		return nil
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		// Offset counts the bytes read, the culprit included; at the end
		// of the text there is no culprit.
		at := int(syntax.Offset) - 1
		if at == len(raw)-1 && syntax.Error() == "unexpected end of JSON input" {
			at = len(raw)
		}
		return notJSON(raw, at, "not valid JSON: "+syntax.Error())
	}
	if e := locate(raw, reflect.TypeOf(into).Elem()); e != nil {
		return e
	}
	if err != nil {
		return &Error{Path: "$", Reason: err.Error()}
	}
	return nil
}

func notJSON(raw []byte, at int, reason string) *Error {
	at = max(0, min(at, len(raw)))
	before := raw[:at]
	line := bytes.Count(before, []byte("\n")) + 1
	start := bytes.LastIndexByte(before, '\n') + 1
	e := &Error{
		Path:   fmt.Sprintf("line %d, column %d", line, utf8.RuneCount(before[start:])+1),
		Reason: reason,
	}
	if bytes.HasPrefix(raw, []byte("\xef\xbb\xbf")) {
		e.Hint = "remove the byte order mark at the start of the file"
	}
	return e
}

func invalidUTF8(raw []byte) int {
	for i := 0; i < len(raw); {
		r, n := utf8.DecodeRune(raw[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(raw)
}

// mayHoldNUL may be wrong, but never when it says no: JSON text can carry a
// NUL in no other way.
func mayHoldNUL(raw []byte) bool {
	return bytes.Contains(raw, []byte(`\u0000`))
}

// mayHoldNull may be wrong, but never when it says no: a null follows the
// start of the text, a colon, a comma or a bracket. Paths like /dev/null are
// in most configurations and don't count.
func mayHoldNull(raw []byte) bool {
	null := []byte("null")
	for rest := raw; ; {
		i := bytes.Index(rest, null)
		if i < 0 {
			return false
		}
		before := bytes.TrimRight(raw[:len(raw)-len(rest)+i], " \t\r\n")
		if len(before) == 0 || bytes.IndexByte([]byte(":,["), before[len(before)-1]) >= 0 {
			return true
		}
		rest = rest[i+len(null):]
	}
}
