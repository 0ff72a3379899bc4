package criu

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The wire types of protocol buffers that occur in rpc.proto.
const (
	wireVarint = 0
	wireFixed8 = 1
	wireBytes  = 2
	wireFixed4 = 5
)

// encoder appends a message's fields in the wire format of protocol buffers. A
// field that has its zero value is left out: all of rpc.proto's defaults are
// zero where it matters here.
type encoder struct{ buf []byte }

func (e *encoder) key(field, wire int) {
	e.buf = binary.AppendUvarint(e.buf, uint64(field)<<3|uint64(wire))
}

// integer appends an int32, which is sign-extended to 64 bits, or an enum.
func (e *encoder) integer(field int, v int32) {
	if v != 0 {
		e.required(field, v)
	}
}

// required is integer for a field that is there whatever its value.
func (e *encoder) required(field int, v int32) {
	e.key(field, wireVarint)
	e.buf = binary.AppendUvarint(e.buf, uint64(int64(v)))
}

func (e *encoder) unsigned(field int, v uint32) {
	if v != 0 {
		e.key(field, wireVarint)
		e.buf = binary.AppendUvarint(e.buf, uint64(v))
	}
}

func (e *encoder) boolean(field int, v bool) {
	if v {
		e.required(field, 1)
	}
}

func (e *encoder) text(field int, v string) {
	if v != "" {
		e.element(field, v)
	}
}

// element is text for a repeated field, of which empty ones count too.
func (e *encoder) element(field int, v string) {
	e.key(field, wireBytes)
	e.buf = binary.AppendUvarint(e.buf, uint64(len(v)))
	e.buf = append(e.buf, v...)
}

// message appends an embedded message.
func (e *encoder) message(field int, fill func(*encoder)) {
	var inner encoder
	fill(&inner)
	e.key(field, wireBytes)
	e.buf = binary.AppendUvarint(e.buf, uint64(len(inner.buf)))
	e.buf = append(e.buf, inner.buf...)
}

// errTruncated is a message that ends in the middle of a field.
var errTruncated = errors.New("truncated message")

// decoder reads a message's fields one by one. After the last one, or an error, next returns false.
type decoder struct {
	buf    []byte
	err    error
	field  int
	wire   int
	number uint64 // of a varint field
	bytes  []byte // of a length-delimited one; it shares the message's memory
}

func (d *decoder) fail(err error) bool {
	d.err, d.buf = err, nil
	return false
}

func (d *decoder) varint() (uint64, bool) {
	v, n := binary.Uvarint(d.buf)
	if n <= 0 {
		return 0, d.fail(errTruncated)
	}
	d.buf = d.buf[n:]
	return v, true
}

// next goes to the next field. Fields of a kind that this package has no use for are passed on as they are.
func (d *decoder) next() bool {
	if d.err != nil || len(d.buf) == 0 {
		return false
	}
	key, ok := d.varint()
	if !ok {
		return false
	}
	if key>>3 == 0 || key>>3 >= 1<<29 { // the range of field numbers
		return d.fail(fmt.Errorf("field number %d", key>>3))
	}
	d.field, d.wire, d.number, d.bytes = int(key>>3), int(key&7), 0, nil
	switch d.wire {
	case wireVarint:
		d.number, ok = d.varint()
		return ok
	case wireBytes:
		n, ok := d.varint()
		return ok && d.skip(n)
	case wireFixed8:
		return d.skip(8)
	case wireFixed4:
		return d.skip(4)
	}
	return d.fail(fmt.Errorf("field %d has wire type %d", d.field, d.wire))
}

func (d *decoder) skip(n uint64) bool {
	if n > uint64(len(d.buf)) {
		return d.fail(errTruncated)
	}
	d.bytes, d.buf = d.buf[:n:n], d.buf[n:]
	return true
}

// integer is the value of an int32 field; the field must be a varint.
func (d *decoder) integer() int32 {
	d.want(wireVarint)
	return int32(d.number)
}

func (d *decoder) boolean() bool {
	d.want(wireVarint)
	return d.number != 0
}

func (d *decoder) text() string {
	d.want(wireBytes)
	return string(d.bytes)
}

// inner decodes an embedded message.
func (d *decoder) inner(read func(*decoder)) {
	if !d.want(wireBytes) {
		return
	}
	in := decoder{buf: d.bytes}
	for in.next() {
		read(&in)
	}
	if in.err != nil {
		d.fail(fmt.Errorf("field %d: %w", d.field, in.err))
	}
}

func (d *decoder) want(wire int) bool {
	if d.wire != wire {
		return d.fail(fmt.Errorf("field %d has wire type %d, not %d", d.field, d.wire, wire))
	}
	return true
}
