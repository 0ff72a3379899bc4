// Package jsontext reads JSON straight into Go values and writes it from them,
// without reflection, tables or anything to initialize: it is made for
// processes that read one document and are gone. Code generated for each type
// (see package specjson) drives it member by member.
//
// It decodes what it accepts to the very values that encoding/json does, and
// accepts a little less: it refuses what is not UTF-8, strings with a NUL, and
// null for a member without omitempty. Who wants to know what is wrong with a
// text, or whether anything is, asks encoding/json.
package jsontext

import (
	"strconv"
	"strings"
	"time"
)

// maxDepth is encoding/json's limit of nested objects and arrays.
const maxDepth = 10000

// Decoder reads one text, from Start to End. The strings it yields are parts of
// the text wherever possible, and keep it in memory.
//
// After the first thing that it doesn't take it is at the end of the text, where
// nothing more is found.
type Decoder struct {
	// Name is the member that Object or Member moved to.
	Name string

	text    string
	pos     int
	depth   int
	failed  bool
	refused int
	spare   []string
}

// Start puts the Decoder at the start of a text. The slices that Strings reads
// are laid out in room as long as it lasts.
func (d *Decoder) Start(text string, room []string) { *d = Decoder{text: text, spare: room} }

// End reports whether the text was one value and nothing else, by an *[Error].
func (d *Decoder) End() error {
	if d.next() != 0 || d.pos < len(d.text) {
		d.Refuse()
	}
	if d.failed {
		return &Error{Offset: d.refused}
	}
	return nil
}

// Error tells where a text was refused.
type Error struct {
	Offset int // in bytes
}

func (e *Error) Error() string {
	return "JSON text refused at offset " + strconv.Itoa(e.Offset)
}

// Refuse ends the decoding: the value just read will not do.
//
//go:noinline
func (d *Decoder) Refuse() {
	if !d.failed {
		d.failed, d.refused = true, d.pos
	}
	d.pos = len(d.text)
}

// next skips white space and returns the byte after it, which stays unread. At
// the end of the text it is 0, which JSON text doesn't have elsewhere.
func (d *Decoder) next() byte {
	i := d.pos
	for ; i < len(d.text); i++ {
		c := d.text[i]
		if c > ' ' || c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			d.pos = i
			return c
		}
	}
	d.pos = i
	return 0
}

// open enters an object or array and reports whether it holds anything.
func (d *Decoder) open(begin, end byte) bool {
	if d.next() != begin || d.depth == maxDepth {
		d.Refuse()
		return false
	}
	d.pos++
	if d.next() == end {
		d.pos++
		return false
	}
	d.depth++
	return true
}

// more leaves the object or array, or reports that a value has to follow.
func (d *Decoder) more(end byte) bool {
	switch d.next() {
	case ',':
		d.pos++
		return true
	case end:
		d.pos++
		d.depth--
	default:
		d.Refuse()
	}
	return false
}

// Object enters an object and moves to its first member, if it has one.
//
//go:noinline
func (d *Decoder) Object() bool { return d.open('{', '}') && d.name() }

// Member moves to the next member, or leaves the object. The value of the one
// before must have been read.
//
//go:noinline
func (d *Decoder) Member() bool { return d.more('}') && d.name() }

// Array enters an array and reports whether it has elements.
//
//go:noinline
func (d *Decoder) Array() bool { return d.open('[', ']') }

// Element reports whether there is another element, or leaves the array.
//
//go:noinline
func (d *Decoder) Element() bool { return d.more(']') }

func (d *Decoder) name() bool {
	d.Name = d.string()
	if d.next() != ':' {
		d.Refuse()
		return false
	}
	d.pos++
	return true
}

// Other deals with a member whose name is none of those known, which are given
// separated by spaces. If it is one in another case, as encoding/json matches
// them, Other sets Name to that and returns true. Otherwise it skips the value.
func (d *Decoder) Other(known string) bool {
	for name := range strings.SplitSeq(known, " ") {
		if strings.EqualFold(name, d.Name) {
			d.Name = name
			return true
		}
	}
	d.skip()
	return false
}

// skip reads any value and does nothing but check it.
func (d *Decoder) skip() {
	switch c := d.next(); c {
	case '{':
		for ok := d.Object(); ok; ok = d.Member() {
			d.skip()
		}
	case '[':
		for ok := d.Array(); ok; ok = d.Element() {
			d.skip()
		}
	case '"':
		d.string()
	case 't':
		d.literal("true")
	case 'f':
		d.literal("false")
	case 'n':
		d.literal("null")
	default:
		d.anyNumber()
	}
}

func (d *Decoder) literal(word string) {
	if !strings.HasPrefix(d.text[d.pos:], word) {
		d.Refuse()
		return
	}
	d.pos += len(word)
}

// Null reads a null if there is one.
//
//go:noinline
func (d *Decoder) Null() bool {
	if d.next() != 'n' {
		return false
	}
	d.literal("null")
	return true
}

// Bool reads true or false.
func (d *Decoder) Bool(v *bool) {
	*v = d.next() == 't'
	if *v {
		d.literal("true")
	} else {
		d.literal("false")
	}
}

// Time reads what [time.Time.MarshalJSON] writes.
func (d *Decoder) Time(v *time.Time) {
	d.next()
	start := d.pos
	if d.string(); d.failed {
		return
	}
	if v.UnmarshalJSON([]byte(d.text[start:d.pos])) != nil {
		d.Refuse()
	}
}
