package netdevice

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// conn is a route socket (rtnetlink(7)) of the network namespace that it was made in.
type conn struct {
	fd  int
	seq uint32
	buf []byte
}

// replySize is what the kernel answers at most with one message: a dump fills buffers of 32 KiB.
const replySize = 64 << 10

func dial() (*conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open a route socket: %w", err)
	}
	// The kernel's own words in errors; what it doesn't say is done without.
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1)
	// Filters of dumps are applied by the kernel; we filter, too.
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	return &conn{fd: fd, buf: make([]byte, replySize)}, nil
}

// dialIn makes a socket in another network namespace: it stays there when the thread is back.
func dialIn(ns int) (*conn, error) {
	runtime.LockOSThread()
	own, err := openOwn()
	if err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	defer unix.Close(own)
	if err := unix.Setns(ns, unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("enter the container's network namespace: %w", err)
	}
	c, err := dial()
	if back := unix.Setns(own, unix.CLONE_NEWNET); back != nil {
		// The thread stays locked, so that it ends with its goroutine and nothing else runs there.
		if c != nil {
			c.close()
		}
		return nil, fmt.Errorf("return to davit's network namespace: %w", back)
	}
	runtime.UnlockOSThread()
	return c, err
}

func openOwn() (int, error) {
	fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open davit's network namespace: %w", err)
	}
	return fd, nil
}

func (c *conn) close() { unix.Close(c.fd) }

// message is a request being written (netlink(7)).
type message struct {
	bytes []byte
	err   error
}

func newMessage(typ, flags uint16, body []byte) *message {
	m := &message{bytes: make([]byte, unix.SizeofNlMsghdr, 256)}
	binary.NativeEndian.PutUint16(m.bytes[4:], typ)
	binary.NativeEndian.PutUint16(m.bytes[6:], flags|unix.NLM_F_REQUEST)
	m.bytes = append(m.bytes, body...)
	return m
}

// maxAttr is what the 16 bits of an attribute's length can say: more must never wrap around (CVE-2021-43784).
const maxAttr = 1<<16 - 1 - unix.SizeofRtAttr

func (m *message) attr(typ uint16, data []byte) *message {
	if len(data) > maxAttr {
		m.err = fmt.Errorf("an attribute of %d bytes doesn't fit into a message", len(data))
		return m
	}
	m.bytes = binary.NativeEndian.AppendUint16(m.bytes, uint16(unix.SizeofRtAttr+len(data)))
	m.bytes = binary.NativeEndian.AppendUint16(m.bytes, typ)
	m.bytes = append(m.bytes, data...)
	for len(m.bytes)%unix.RTA_ALIGNTO != 0 {
		m.bytes = append(m.bytes, 0)
	}
	return m
}

func (m *message) number(typ uint16, v uint32) *message {
	return m.attr(typ, binary.NativeEndian.AppendUint32(nil, v))
}

func (m *message) text(typ uint16, s string) *message { return m.attr(typ, append([]byte(s), 0)) }

// kernelError is the kernel's refusal of a request, in its own words where it has any.
type kernelError struct {
	errno unix.Errno
	text  string
}

func (e *kernelError) Error() string {
	if e.text == "" {
		return e.errno.Error()
	}
	return e.errno.Error() + ": " + e.text
}

func (e *kernelError) Unwrap() error { return e.errno }

// errInterrupted is a dump during which something changed.
var errInterrupted = errors.New("the answer changed while it was given")

// do sends a request and passes each message of the answer to each, without its header.
func (c *conn) do(m *message, each func(body []byte)) error {
	if m.err != nil {
		return m.err
	}
	c.seq++
	binary.NativeEndian.PutUint32(m.bytes, uint32(len(m.bytes)))
	binary.NativeEndian.PutUint32(m.bytes[8:], c.seq)
	if err := unix.Sendto(c.fd, m.bytes, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	interrupted := false
	for {
		n, _, flags, from, err := unix.Recvmsg(c.fd, c.buf, nil, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if flags&unix.MSG_TRUNC != 0 {
			return errors.New("the kernel's answer is too long")
		}
		if a, ok := from.(*unix.SockaddrNetlink); !ok || a.Pid != 0 {
			continue // not from the kernel
		}
		done, err := c.answer(c.buf[:n], &interrupted, each)
		if done && err == nil && interrupted {
			err = errInterrupted
		}
		if done {
			return err
		}
	}
}

// answer reads the messages of one datagram and tells whether the last one was among them.
func (c *conn) answer(data []byte, interrupted *bool, each func(body []byte)) (bool, error) {
	for len(data) >= unix.SizeofNlMsghdr {
		size := binary.NativeEndian.Uint32(data)
		typ, flags := binary.NativeEndian.Uint16(data[4:]), binary.NativeEndian.Uint16(data[6:])
		if size < unix.SizeofNlMsghdr || uint64(size) > uint64(len(data)) {
			return true, errors.New("the kernel's answer is malformed")
		}
		body, seq := data[unix.SizeofNlMsghdr:size], binary.NativeEndian.Uint32(data[8:])
		data = data[min(len(data), int(size+3)&^3):]
		if seq != c.seq {
			continue
		}
		*interrupted = *interrupted || flags&unix.NLM_F_DUMP_INTR != 0
		switch typ {
		case unix.NLMSG_DONE, unix.NLMSG_ERROR:
			return true, refusal(body, flags, typ == unix.NLMSG_DONE)
		default:
			if each != nil {
				each(body)
			}
		}
	}
	return false, nil
}

// refusal decodes the end of an answer: an errno, for an error the request or
// its header again, and then attributes.
func refusal(body []byte, flags uint16, done bool) error {
	if len(body) < 4 {
		return nil
	}
	code := int32(binary.NativeEndian.Uint32(body))
	if code >= 0 {
		return nil
	}
	e := &kernelError{errno: unix.Errno(-code)}
	rest := body[4:]
	if !done {
		skip := uint32(unix.SizeofNlMsghdr)
		if flags&unix.NLM_F_CAPPED == 0 && len(rest) >= 4 {
			skip = binary.NativeEndian.Uint32(rest)
		}
		rest = rest[min(uint64(len(rest)), (uint64(skip)+3)&^3):]
	}
	if flags&unix.NLM_F_ACK_TLVS != 0 {
		attributes(rest, func(typ uint16, data []byte) {
			if typ == unix.NLMSGERR_ATTR_MSG {
				e.text = text(data)
			}
		})
	}
	return e
}

// attributes passes each attribute of a message to each.
func attributes(data []byte, each func(typ uint16, data []byte)) {
	for len(data) >= unix.SizeofRtAttr {
		size := binary.NativeEndian.Uint16(data)
		if size < unix.SizeofRtAttr || int(size) > len(data) {
			return
		}
		each(binary.NativeEndian.Uint16(data[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), data[unix.SizeofRtAttr:size])
		data = data[min(len(data), int(size+3)&^3):]
	}
}

// text is a string up to its NUL.
func text(data []byte) string { return unix.ByteSliceToString(data) }
