package bundle

import "strconv"

// path is a JSON path. Its parts live on the stacks of the checks and are
// written out only for a finding, so that a good configuration costs no
// allocation. The zero path is the document.
type path struct {
	up   *path
	name string
	// index is an array index when kind is pathIndex.
	index int
	kind  pathKind
}

type pathKind uint8

const (
	pathRoot pathKind = iota
	pathMember
	pathIndex
	pathKey
)

// member is a property that the spec names, as in mounts[0].source.
func (p *path) member(name string) path {
	return path{up: p, name: name, kind: pathMember}
}

// at is an array element.
func (p *path) at(i int) path {
	return path{up: p, index: i, kind: pathIndex}
}

// key is an entry of a map whose keys the author of the configuration chose.
// It is always written quoted, so a key can't forge a line of a log.
func (p *path) key(k string) path {
	return path{up: p, name: k, kind: pathKey}
}

func (p *path) String() string {
	if p.kind == pathRoot {
		return "$"
	}
	return string(p.append(nil))
}

func (p *path) append(b []byte) []byte {
	if p.up != nil {
		b = p.up.append(b)
	}
	switch p.kind {
	case pathMember:
		if len(b) > 0 {
			b = append(b, '.')
		}
		b = append(b, p.name...)
	case pathIndex:
		b = append(b, '[')
		b = strconv.AppendInt(b, int64(p.index), 10)
		b = append(b, ']')
	case pathKey:
		b = append(b, '[')
		b = strconv.AppendQuote(b, p.name)
		b = append(b, ']')
	}
	return b
}
