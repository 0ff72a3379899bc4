// Package jsontest makes JSON texts for the tests of decoders: values with every
// field set, and damaged, twisted and merely unusual variants of a text.
package jsontest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
)

// Mutator makes variants of one text.
type Mutator struct {
	rng  *rand.Rand
	text []byte
	root *node // of text
}

// NewMutator returns a Mutator for a text that is JSON. The same seed leads to
// the same variants.
func NewMutator(text []byte, seed uint64) *Mutator {
	return &Mutator{rng: rand.New(rand.NewPCG(seed, uint64(len(text)))), text: text, root: parse(text)}
}

// literals are what values get replaced by: each kind, the limits of the integer
// types, numbers that are integers but not written as ones, and strings that
// decoders could read differently.
var literals = []string{
	"null", "null", "null", "true", "false", "{}", "[]", "[null]", "[{}]", "[[]]", `{"a":null}`, `{"a":"b","a":"c"}`, `["a","b","c"]`,
	"0", "-0", "1", "-1", "7", "1e3", "1E+2", "1.0", "0.5", "-1e-1", "00", "01", "-", "+1", ".5", "5.", "1e", "0x10",
	"127", "128", "255", "256", "32767", "32768", "65535", "65536", "2147483647", "2147483648", "-2147483648", "-2147483649",
	"4294967295", "4294967296", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
	"18446744073709551615", "18446744073709551616", "99999999999999999999999999",
	`""`, `"x"`, `"null"`, `"\""`, `"\\"`, `"\/\b\f\n\r\t"`, `"\u0041\u00e9\u20ac"`, `"\ud83d\ude00"`, `"\uD83D\uDE00"`, `"\ud83d"`, `"\ude00"`,
	`"\ud83d\ud83d\ude00"`, `"\ud83dx"`, `"\ud83d\u0041"`, `"\u0000"`, `"a\u0000b"`, `"é€😀"`, "\"\xff\"", "\"a\xc3\"", "\"\xed\xa0\x80\"", "\"\t\"", "\"\x7f\"",
	`"\x"`, `"\'"`, `"\u12"`, `"\u12g4"`, `"\ufffd\ufeff"`, "\"\u2028\"", `"<&>"`, "tru", "nul", "nulls", "True", "NaN",
}

var names = []string{"a", "", "windows", "Windows", "solaris", "vm", "zos", "FREEBSD", "linux", "process", "type", "path", "id", "limit", "unknown", `\u0074ype`, "é", "\xff", `\u0000`}

// Next returns the next variant: one to three changes of the structure, of bytes, or of both.
func (m *Mutator) Next() []byte {
	text := m.text
	how := m.rng.IntN(10)
	if how < 8 {
		root := m.root.clone()
		for range 1 + m.rng.IntN(3) {
			m.change(root)
		}
		var b bytes.Buffer
		root.write(&b, m.rng)
		text = b.Bytes()
	}
	if how >= 7 {
		text = bytes.Clone(text)
		for range 1 + m.rng.IntN(3) {
			text = m.edit(text)
		}
	}
	return text
}

// edit changes one byte, or the length.
func (m *Mutator) edit(text []byte) []byte {
	if len(text) == 0 {
		return text
	}
	const alphabet = "\"\\{}[]:,0123456789-+.eEtrufalsn \n\t\r\x00\x1f\x7f\x80\xc3\xa9\xffkKsS"
	at := m.rng.IntN(len(text))
	c := alphabet[m.rng.IntN(len(alphabet))]
	switch m.rng.IntN(6) {
	case 0:
		text[at] = c
	case 1:
		text[at] ^= 1 << m.rng.IntN(8)
	case 2:
		text = append(text[:at], text[at+1:]...)
	case 3:
		text = append(text[:at], append([]byte{c}, text[at:]...)...)
	case 4:
		if m.rng.IntN(4) == 0 {
			return text[:at]
		}
		text[at] ^= 0x20
	case 5:
		if m.rng.IntN(4) == 0 {
			return append(text, c)
		}
	}
	return text
}

// change makes one change somewhere in the tree.
func (m *Mutator) change(root *node) {
	all := root.all(nil)
	n, other := all[m.rng.IntN(len(all))], all[m.rng.IntN(len(all))]
	// Values high up in the tree would be hit seldom, but matter as much.
	if m.rng.IntN(4) == 0 {
		n = all[m.rng.IntN(min(len(all), 16))]
	}
	if len(n.children) == 0 {
		*n = node{literal: literals[m.rng.IntN(len(literals))]}
		return
	}
	i := m.rng.IntN(len(n.children))
	child := n.children[i]
	switch m.rng.IntN(9) {
	case 0:
		n.children = append(n.children[:i:i], n.children[i+1:]...)
	case 1: // twice the same, as a member with the same name
		n.children = append(n.children, member{child.name, child.value.clone()})
	case 2: // the same name with another value
		n.children = append(n.children, member{child.name, other.clone()})
		m.change(n.children[len(n.children)-1].value)
	case 3:
		*child.value = node{literal: literals[m.rng.IntN(len(literals))]}
	case 4:
		*child.value = *other.clone()
	case 5:
		n.children[i].name = m.respell(child.name)
	case 6:
		n.children[i].name = names[m.rng.IntN(len(names))]
	case 7: // merged into what is there already
		for range 1 + m.rng.IntN(3) {
			again := child.value.clone()
			for range m.rng.IntN(3) {
				m.change(again)
			}
			n.children = append(n.children, member{child.name, again})
		}
	case 8:
		m.rng.Shuffle(len(n.children), func(a, b int) { n.children[a], n.children[b] = n.children[b], n.children[a] })
	}
}

// respell writes a name in a way that may still match.
func (m *Mutator) respell(name string) string {
	switch m.rng.IntN(5) {
	case 0:
		return strings.ToUpper(name)
	case 1:
		return strings.ToLower(name)
	case 2: // U+017F and U+212A, whose other cases are s and k
		return strings.NewReplacer("s", "ſ", "k", "\u212a").Replace(name)
	case 3:
		if name != "" && name[0] < 0x80 && name[0] != '\\' {
			return fmt.Sprintf(`\u%04x%s`, name[0], name[1:])
		}
	}
	return name + "x"
}

// node is a JSON value. Unlike a map, it keeps the order of members, and has
// names more than once.
type node struct {
	literal  string // of what is neither object nor array
	object   bool
	array    bool
	children []member
}

type member struct {
	name  string // as written, without the quotes; nothing in arrays
	value *node
}

func parse(text []byte) *node {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	return parseValue(dec)
}

func parseValue(dec *json.Decoder) *node {
	token, err := dec.Token()
	if err != nil {
		panic(err)
	}
	n := new(node)
	switch v := token.(type) {
	case json.Delim:
		n.object, n.array = v == '{', v == '['
		for dec.More() {
			var name string
			if n.object {
				key, _ := dec.Token()
				name = quote(key)
				name = name[1 : len(name)-1]
			}
			n.children = append(n.children, member{name, parseValue(dec)})
		}
		dec.Token()
	default:
		n.literal = quote(v)
	}
	return n
}

func quote(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func (n *node) all(list []*node) []*node {
	list = append(list, n)
	for _, c := range n.children {
		list = c.value.all(list)
	}
	return list
}

func (n *node) clone() *node {
	c := *n
	c.children = make([]member, len(n.children))
	for i, m := range n.children {
		c.children[i] = member{m.name, m.value.clone()}
	}
	return &c
}

func (n *node) write(b *bytes.Buffer, rng *rand.Rand) {
	space := func() {
		if rng.IntN(64) == 0 {
			b.WriteString([]string{" ", "\n\t", "\r\n", "   "}[rng.IntN(4)])
		}
	}
	if !n.object && !n.array {
		b.WriteString(n.literal)
		return
	}
	begin, end := byte('{'), byte('}')
	if n.array {
		begin, end = '[', ']'
	}
	b.WriteByte(begin)
	for i, c := range n.children {
		if i > 0 {
			b.WriteByte(',')
		}
		space()
		if n.object {
			b.WriteString(`"` + c.name + `"`)
			space()
			b.WriteByte(':')
			space()
		}
		c.value.write(b, rng)
		space()
	}
	b.WriteByte(end)
}
