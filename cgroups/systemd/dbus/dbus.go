// Package dbus speaks as much of the D-Bus protocol as it takes to have a service manager do
// something: a connection over a Unix socket with EXTERNAL authentication, method calls and
// their answers, signals, and every type but file descriptors.
//
// Nothing waits without a deadline: a peer that doesn't answer costs the caller the time it
// chose, never more. There is no goroutine and no background reader; whoever calls
// [Conn.Receive] gets the next message, whatever it is.
//
// It is here instead of a library because of what those bring along: godbus adds the net
// package, 0.8 MiB and seven initialisations to every start of a program, this nothing.
//
// See the D-Bus Specification, https://dbus.freedesktop.org/doc/dbus-specification.html.
package dbus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// maxMessage bounds what is taken from a peer: a service manager's longest messages have some
// kilobytes, the protocol would allow 128 MiB.
const maxMessage = 16 << 20

// Conn is a connection to a message bus, or directly to a peer. Its methods are not safe for
// concurrent use. After an error of Send or Receive it is of no use any more.
type Conn struct {
	fd       int
	address  string
	deadline time.Time
	serial   uint32
	in       []byte
	uid      int
	greeted  bool // credentials are exchanged
	server   bool
}

// Dial connects to the first of the addresses in a list such as DBUS_SESSION_BUS_ADDRESS holds
// ("unix:path=/run/user/1000/bus;unix:abstract=…") that accepts, as the user uid, the number
// that the peer sees. Addresses other than Unix sockets are passed over. Whether the peer takes
// the credentials shows at the first Send.
func Dial(addresses string, uid int, deadline time.Time) (*Conn, error) {
	var failed error
	for entry := range strings.SplitSeq(addresses, ";") {
		name, err := socketName(entry)
		if err == nil {
			var c *Conn
			if c, err = connect(name, deadline); err == nil {
				c.address, c.uid = entry, uid
				return c, nil
			}
		}
		if failed == nil {
			failed = fmt.Errorf("%s: %w", entry, err)
		}
	}
	return nil, failed
}

// socketName takes the path of a Unix socket out of an address; one in the abstract namespace
// begins with "@", as x/sys has it.
func socketName(entry string) (string, error) {
	options, ok := strings.CutPrefix(entry, "unix:")
	if !ok {
		return "", errors.New("is not the address of a Unix socket, unix:path=…")
	}
	for option := range strings.SplitSeq(options, ",") {
		key, value, _ := strings.Cut(option, "=")
		if key != "path" && key != "abstract" {
			continue
		}
		name, err := unescape(value)
		if err != nil {
			return "", err
		}
		if key == "abstract" {
			name = "@" + name
		}
		return name, nil
	}
	return "", errors.New("has neither path= nor abstract=")
}

// unescape undoes the %xx of an address.
func unescape(s string) (string, error) {
	if !strings.Contains(s, "%") {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
			return "", errors.New("has a % without two hexadecimal digits")
		}
		b.WriteByte(unhex(s[i+1])<<4 | unhex(s[i+2]))
		i += 2
	}
	return b.String(), nil
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

func hex(s string) string {
	const digits = "0123456789abcdef"
	b := make([]byte, 0, 2*len(s))
	for i := range len(s) {
		b = append(b, digits[s[i]>>4], digits[s[i]&15])
	}
	return string(b)
}

// connect opens the socket. A listener whose queue is full is waited for, as a blocking
// connect(2) would, until the deadline.
func connect(name string, deadline time.Time) (*Conn, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: name})
		if err == nil {
			return &Conn{fd: fd, deadline: deadline}, nil
		}
		if err != unix.EAGAIN && err != unix.EINTR || time.Now().After(deadline) {
			unix.Close(fd)
			return nil, os.NewSyscallError("connect", err)
		}
		time.Sleep(pause)
	}
}

// Accept takes over the server's side of a connected socket.
func Accept(fd int, deadline time.Time) *Conn {
	_ = unix.SetNonblock(fd, true)
	return &Conn{fd: fd, deadline: deadline, server: true}
}

// Address returns the one that Dial connected to.
func (c *Conn) Address() string { return c.address }

// SetDeadline bounds what Send and Receive wait from now on.
func (c *Conn) SetDeadline(t time.Time) { c.deadline = t }

// Close closes the connection.
func (c *Conn) Close() error { return unix.Close(c.fd) }

// Send writes messages at once and fills in their serials. If one of them can't be encoded none
// is sent.
func (c *Conn) Send(messages ...*Message) error {
	// Not in one go with the greeting: sd-bus's server may read a message along with BEGIN,
	// and then sleeps until another one comes.
	if err := c.greet(); err != nil {
		return err
	}
	var out []byte
	for _, m := range messages {
		if c.serial++; c.serial == 0 {
			c.serial = 1
		}
		m.Serial = c.serial
		raw, err := m.encode()
		if err != nil {
			return err
		}
		out = append(out, raw...)
	}
	return c.write(out)
}

func (c *Conn) write(out []byte) error {
	for len(out) > 0 {
		n, err := unix.SendmsgN(c.fd, out, nil, nil, unix.MSG_NOSIGNAL)
		switch {
		case err == nil:
			out = out[n:]
		case err == unix.EAGAIN:
			if err := c.wait(unix.POLLOUT); err != nil {
				return err
			}
		case err != unix.EINTR:
			return os.NewSyscallError("write", err)
		}
	}
	return nil
}

// Receive returns the next message. Where none arrives before the deadline the error matches
// [os.ErrDeadlineExceeded].
func (c *Conn) Receive() (*Message, error) {
	if err := c.greet(); err != nil {
		return nil, err
	}
	for {
		n, err := messageSize(c.in)
		if err != nil {
			return nil, err
		}
		if n > 0 && n <= len(c.in) {
			m, err := decodeMessage(c.in[:n])
			c.in = c.in[n:]
			return m, err
		}
		if err := c.read(); err != nil {
			return nil, err
		}
	}
}

// messageSize is how long the message is that b begins with; 0 if that can't be told yet.
func messageSize(b []byte) (int, error) {
	if len(b) < 16 {
		return 0, nil
	}
	order, err := byteOrder(b[0])
	if err != nil {
		return 0, err
	}
	body, fields := order.Uint32(b[4:]), order.Uint32(b[12:])
	if body > maxMessage || fields > maxMessage {
		return 0, fmt.Errorf("a message of %d bytes is too long", uint64(body)+uint64(fields))
	}
	return 16 + (int(fields)+7)&^7 + int(body), nil
}

func byteOrder(c byte) (binary.ByteOrder, error) {
	switch c {
	case 'l':
		return binary.LittleEndian, nil
	case 'B':
		return binary.BigEndian, nil
	}
	return nil, fmt.Errorf("what the peer sends is not D-Bus (byte order %q)", c)
}

// greet has the conversation that comes before the first message.
func (c *Conn) greet() (err error) {
	switch {
	case c.greeted:
		return nil
	case c.server:
		err = c.greetClient()
	default:
		err = c.greetServer()
	}
	c.greeted = err == nil
	return err
}

func (c *Conn) greetServer() error {
	if err := c.write([]byte("\x00AUTH EXTERNAL " + hex(strconv.Itoa(c.uid)) + "\r\nBEGIN\r\n")); err != nil {
		return err
	}
	line, err := c.line()
	if err == nil && !strings.HasPrefix(line, "OK") {
		err = fmt.Errorf("the peer does not accept the credentials: %q", line)
	}
	return err
}

// greetClient lets everybody in: who may connect is a matter of the socket's permissions.
func (c *Conn) greetClient() error {
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		answer := "ERROR\r\n"
		switch line = strings.TrimPrefix(line, "\x00"); {
		case line == "BEGIN":
			return nil
		case line == "AUTH": // a client that asks which ways there are
			answer = "REJECTED EXTERNAL\r\n"
		case strings.HasPrefix(line, "AUTH EXTERNAL"):
			answer = "OK 0123456789abcdef0123456789abcdef\r\n"
		}
		if err := c.write([]byte(answer)); err != nil {
			return err
		}
	}
}

func (c *Conn) line() (string, error) {
	for {
		if line, rest, ok := strings.Cut(string(c.in), "\r\n"); ok {
			c.in = c.in[len(c.in)-len(rest):]
			return line, nil
		}
		if len(c.in) > 4096 {
			return "", errors.New("what the peer sends is not D-Bus (an endless line)")
		}
		if err := c.read(); err != nil {
			return "", err
		}
	}
}

func (c *Conn) read() error {
	buf := make([]byte, 4096)
	for {
		n, err := unix.Read(c.fd, buf)
		switch {
		case err == unix.EAGAIN:
			if err := c.wait(unix.POLLIN); err != nil {
				return err
			}
		case err == unix.EINTR:
		case err != nil:
			return os.NewSyscallError("read", err)
		case n == 0:
			return errClosed
		default:
			c.in = append(c.in, buf[:n]...)
			return nil
		}
	}
}

var errClosed = errors.New("the peer closed the connection")

func (c *Conn) wait(event int16) error {
	for {
		left := time.Until(c.deadline)
		if left <= 0 {
			return os.ErrDeadlineExceeded
		}
		fds := []unix.PollFd{{Fd: int32(c.fd), Events: event}}
		n, err := unix.Poll(fds, int(min(left/time.Millisecond+1, 1<<30)))
		if err != nil && err != unix.EINTR {
			return os.NewSyscallError("poll", err)
		}
		if n > 0 {
			return nil
		}
	}
}
