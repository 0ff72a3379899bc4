package dbus

import (
	"errors"
	"fmt"
)

// Type is the kind of a [Message].
type Type byte

// Kinds of messages.
const (
	Call   Type = 1
	Return Type = 2
	Error  Type = 3
	Signal Type = 4
)

// Message is one message. Which of the fields it needs depends on its type.
type Message struct {
	Type        Type
	NoReply     bool // of a call: no answer is expected
	Serial      uint32
	ReplySerial uint32 // of an answer: the call's serial
	Path        string // of the object that is called, or that sends a signal
	Interface   string
	Member      string // method or signal
	ErrorName   string
	Destination string // bus name; "" on a direct connection
	Sender      string
	Sig         string // types of the body
	Body        []any
}

// Variant is a value that says of which type it is.
type Variant struct {
	Sig   string // one complete type
	Value any
}

// Codes of header fields.
const (
	fieldPath        = 1
	fieldInterface   = 2
	fieldMember      = 3
	fieldErrorName   = 4
	fieldReplySerial = 5
	fieldDestination = 6
	fieldSender      = 7
	fieldSignature   = 8
)

const noReplyExpected = 1

func (m *Message) encode() ([]byte, error) {
	var body encoder
	if err := body.values(m.Sig, m.Body); err != nil {
		return nil, err
	}
	flags := byte(0)
	if m.NoReply {
		flags = noReplyExpected
	}
	head := encoder{buf: []byte{'l', byte(m.Type), flags, 1}}
	head.uint32(uint32(len(body.buf)))
	head.uint32(m.Serial)
	if err := head.value("a(yv)", m.fields()); err != nil {
		return nil, err
	}
	head.align(8)
	if len(head.buf)+len(body.buf) > maxMessage {
		return nil, errors.New("the message is too long")
	}
	return append(head.buf, body.buf...), nil
}

func (m *Message) fields() []any {
	var fields []any
	add := func(code byte, sig, value string) {
		if value != "" {
			fields = append(fields, []any{code, Variant{sig, value}})
		}
	}
	add(fieldPath, "o", m.Path)
	add(fieldInterface, "s", m.Interface)
	add(fieldMember, "s", m.Member)
	add(fieldErrorName, "s", m.ErrorName)
	if m.ReplySerial != 0 {
		fields = append(fields, []any{byte(fieldReplySerial), Variant{"u", m.ReplySerial}})
	}
	add(fieldDestination, "s", m.Destination)
	add(fieldSender, "s", m.Sender)
	add(fieldSignature, "g", m.Sig)
	return fields
}

// decodeMessage decodes a whole message.
func decodeMessage(b []byte) (*Message, error) {
	order, err := byteOrder(b[0])
	if err != nil {
		return nil, err
	}
	if b[3] != 1 {
		return nil, fmt.Errorf("protocol version %d is not known", b[3])
	}
	m := &Message{Type: Type(b[1]), NoReply: b[2]&noReplyExpected != 0, Serial: order.Uint32(b[8:])}
	head := decoder{buf: b, at: 12, order: order}
	fields, err := head.value("a(yv)", 0)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	for _, f := range fields.([]any) {
		f := f.([]any)
		m.setField(f[0].(byte), f[1].(Variant).Value)
	}
	if err := head.align(8); err != nil {
		return nil, err
	}
	body := decoder{buf: b[head.at:], order: order}
	if m.Body, err = body.values(m.Sig); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	return m, nil
}

func (m *Message) setField(code byte, value any) {
	s, _ := value.(string)
	switch code {
	case fieldPath:
		m.Path = s
	case fieldInterface:
		m.Interface = s
	case fieldMember:
		m.Member = s
	case fieldErrorName:
		m.ErrorName = s
	case fieldReplySerial:
		m.ReplySerial, _ = value.(uint32)
	case fieldDestination:
		m.Destination = s
	case fieldSender:
		m.Sender = s
	case fieldSignature:
		m.Sig = s
	}
}

// String returns the body's value at index i if that is a string or an object path, else "".
func (m *Message) String(i int) string {
	if i >= len(m.Body) {
		return ""
	}
	v := m.Body[i]
	if w, ok := v.(Variant); ok {
		v = w.Value
	}
	s, _ := v.(string)
	return s
}
