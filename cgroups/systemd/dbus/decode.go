package dbus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// decoder unmarshals what an encoder has written, to the same types of Go; arrays other than
// of bytes come as []any.
type decoder struct {
	buf   []byte
	at    int
	order binary.ByteOrder
}

var errShort = errors.New("the message ends within a value")

func (d *decoder) take(n int) ([]byte, error) {
	if n < 0 || n > len(d.buf)-d.at {
		return nil, errShort
	}
	b := d.buf[d.at : d.at+n]
	d.at += n
	return b, nil
}

func (d *decoder) align(n int) error {
	_, err := d.take(-d.at & (n - 1))
	return err
}

func (d *decoder) uint32() (uint32, error) {
	b, err := d.take(4)
	if err != nil {
		return 0, err
	}
	return d.order.Uint32(b), nil
}

func (d *decoder) values(sig string) (list []any, err error) {
	for sig != "" {
		var first string
		if first, sig, err = SplitType(sig); err != nil {
			return nil, err
		}
		v, err := d.value(first, 0)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

func (d *decoder) value(sig string, depth int) (any, error) {
	if depth > 2*maxDepth {
		return nil, errors.New("values are nested too deeply")
	}
	if err := d.align(alignment(sig[0])); err != nil {
		return nil, err
	}
	switch sig[0] {
	case 'a':
		return d.array(sig[1:], depth)
	case '(', '{':
		var members []any
		for rest := sig[1 : len(sig)-1]; rest != ""; {
			first, more, err := SplitType(rest)
			if err != nil {
				return nil, err
			}
			v, err := d.value(first, depth+1)
			if err != nil {
				return nil, err
			}
			members, rest = append(members, v), more
		}
		return members, nil
	case 'v':
		s, err := d.string('g')
		if err != nil {
			return nil, err
		}
		if err := CheckType(s); err != nil {
			return nil, err
		}
		v, err := d.value(s, depth+1)
		return Variant{s, v}, err
	case 's', 'o', 'g':
		return d.string(sig[0])
	}
	return d.number(sig[0])
}

func (d *decoder) number(c byte) (any, error) {
	size := alignment(c)
	b, err := d.take(size)
	if err != nil {
		return nil, err
	}
	switch c {
	case 'y':
		return b[0], nil
	case 'b':
		return d.order.Uint32(b) != 0, nil
	case 'n':
		return int16(d.order.Uint16(b)), nil
	case 'q':
		return d.order.Uint16(b), nil
	case 'i':
		return int32(d.order.Uint32(b)), nil
	case 'u':
		return d.order.Uint32(b), nil
	case 'x':
		return int64(d.order.Uint64(b)), nil
	case 't':
		return d.order.Uint64(b), nil
	case 'd':
		return math.Float64frombits(d.order.Uint64(b)), nil
	}
	return nil, fmt.Errorf("type %q is not known", c)
}

func (d *decoder) string(c byte) (string, error) {
	n := 0
	if c == 'g' {
		b, err := d.take(1)
		if err != nil {
			return "", err
		}
		n = int(b[0])
	} else {
		v, err := d.uint32()
		if err != nil {
			return "", err
		}
		if v > maxMessage {
			return "", errShort
		}
		n = int(v)
	}
	b, err := d.take(n + 1)
	if err != nil {
		return "", err
	}
	return string(b[:n]), nil
}

func (d *decoder) array(elem string, depth int) (any, error) {
	n, err := d.uint32()
	if err != nil {
		return nil, err
	}
	if err := d.align(alignment(elem[0])); err != nil {
		return nil, err
	}
	if n > maxMessage || int(n) > len(d.buf)-d.at {
		return nil, errShort
	}
	end := d.at + int(n)
	if elem == "y" {
		b, err := d.take(int(n))
		return append([]byte{}, b...), err
	}
	list := []any{}
	for d.at < end {
		v, err := d.value(elem, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	if d.at != end {
		return nil, errShort
	}
	return list, nil
}
