package dbus

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestEncodeValues(t *testing.T) {
	for _, c := range []struct {
		sig    string
		values []any
		want   string // bytes, computed by hand from the specification's rules
	}{
		{"y", []any{byte(7)}, "\x07"},
		{"yu", []any{byte(1), uint32(2)}, "\x01\x00\x00\x00\x02\x00\x00\x00"},
		{"b", []any{true}, "\x01\x00\x00\x00"},
		{"nq", []any{int16(-1), uint16(3)}, "\xff\xff\x03\x00"},
		{"x", []any{int64(-2)}, "\xfe\xff\xff\xff\xff\xff\xff\xff"},
		{"d", []any{1.5}, "\x00\x00\x00\x00\x00\x00\xf8\x3f"},
		{"s", []any{"foo"}, "\x03\x00\x00\x00foo\x00"},
		{"g", []any{"a(sv)"}, "\x05a(sv)\x00"},
		{"yt", []any{byte(1), uint64(2)}, "\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00"},
		{"as", []any{[]string{"a", "b"}}, "\x0e\x00\x00\x00\x01\x00\x00\x00a\x00\x00\x00\x01\x00\x00\x00b\x00"},
		// The padding before the first element isn't part of the length.
		{"at", []any{[]any{uint64(5)}}, "\x08\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00"},
		{"a(st)", []any{[]any{}}, "\x00\x00\x00\x00\x00\x00\x00\x00"},
		{"au", []any{[]uint32{9}}, "\x04\x00\x00\x00\x09\x00\x00\x00"},
		{"ay", []any{[]byte{1, 2}}, "\x02\x00\x00\x00\x01\x02"},
		{"v", []any{Variant{"u", uint32(1)}}, "\x01u\x00\x00\x01\x00\x00\x00"},
		{"(ys)", []any{[]any{byte(1), "x"}}, "\x01\x00\x00\x00\x01\x00\x00\x00x\x00"},
	} {
		var e encoder
		if err := e.values(c.sig, c.values); err != nil {
			t.Errorf("%s: %v", c.sig, err)
			continue
		}
		if string(e.buf) != c.want {
			t.Errorf("%s: %q, want %q", c.sig, e.buf, c.want)
		}
		d := decoder{buf: e.buf, order: binary.LittleEndian}
		back, err := d.values(c.sig)
		if err != nil || d.at != len(e.buf) {
			t.Errorf("%s: decode: %v, %d of %d bytes", c.sig, err, d.at, len(e.buf))
			continue
		}
		var again encoder
		if err := again.values(c.sig, back); err != nil || string(again.buf) != c.want {
			t.Errorf("%s: comes back as %v (%v)", c.sig, back, err)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	for _, c := range []struct {
		sig    string
		values []any
	}{
		{"u", []any{"1"}}, {"u", []any{int32(1)}}, {"s", []any{1}}, {"s", []any{"a\x00b"}}, {"s", []any{"\xff"}}, {"o", []any{"x"}}, {"o", []any{"/a/"}}, {"o", []any{"//"}},
		{"uu", []any{uint32(1)}}, {"u", []any{uint32(1), uint32(1)}}, {"a", []any{[]any{}}}, {"(", []any{[]any{}}}, {"()", []any{[]any{}}}, {"v", []any{Variant{"uu", uint32(1)}}},
		{"v", []any{Variant{"", nil}}}, {"as", []any{[]uint32{1}}}, {"z", []any{1}}, {"g", []any{strings.Repeat("y", 256)}}, {strings.Repeat("a", 40) + "y", []any{[]any{}}},
	} {
		var e encoder
		if err := e.values(c.sig, c.values); err == nil {
			t.Errorf("%q takes %v: %q", c.sig, c.values, e.buf)
		}
	}
}

func TestMessage(t *testing.T) {
	m := &Message{Type: Call, Serial: 3, Path: "/a/b", Interface: "c.d", Member: "E", Destination: "f.g", Sig: "sa(sv)",
		Body: []any{"x", []any{[]any{"n", Variant{"t", uint64(1)}}}}}
	raw, err := m.encode()
	if err != nil {
		t.Fatal(err)
	}
	if n, err := messageSize(raw); n != len(raw) || err != nil {
		t.Errorf("the size is %d, %v, want %d", n, err, len(raw))
	}
	back, err := decodeMessage(raw)
	if err != nil || !reflect.DeepEqual(m, back) {
		t.Errorf("%+v\ncomes back as\n%+v (%v)", m, back, err)
	}
}

// A peer may send the other byte order. An empty answer:
// its header has the serial of the call and an empty signature.
func TestBigEndian(t *testing.T) {
	raw := []byte("B\x02\x00\x01\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x0e\x05\x01u\x00\x00\x00\x00\x09\x08\x01g\x00\x00\x00\x00\x00")
	m, err := decodeMessage(raw)
	if err != nil || m.Type != Return || m.Serial != 5 || m.ReplySerial != 9 {
		t.Errorf("%+v, %v", m, err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, m := range []*Message{
		{Type: Signal, Serial: 1, Path: "/", Interface: "a.b", Member: "C", Sig: "uoss", Body: []any{uint32(1), "/j", "u", "done"}},
		{Type: Return, Serial: 2, ReplySerial: 1, Sig: "v", Body: []any{Variant{"as", []string{"x"}}}},
	} {
		raw, err := m.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		n, err := messageSize(raw)
		if err != nil || n == 0 || n > len(raw) {
			return
		}
		m, err := decodeMessage(raw[:n])
		if err != nil {
			return
		}
		if again, err := m.encode(); err == nil {
			if _, err := decodeMessage(again); err != nil {
				t.Errorf("%+v doesn't come back: %v", m, err)
			}
		}
	})
}

func TestSocketName(t *testing.T) {
	for address, want := range map[string]string{
		"unix:path=/run/bus": "/run/bus", "unix:abstract=/tmp/x,guid=00": "@/tmp/x", "unix:guid=1,path=/a%20b%2fc": "/a b/c",
		"tcp:host=localhost": "", "unix:runtime=yes": "", "unix:path=%2": "", "unix:path=%zz": "", "": "",
	} {
		if got, err := socketName(address); got != want || (want == "") != (err != nil) {
			t.Errorf("%q: %q, %v; want %q", address, got, err, want)
		}
	}
}

// listen returns a listening socket and its address.
func listen(t *testing.T) (int, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 1); err != nil {
		t.Fatal(err)
	}
	return fd, "unix:path=" + path
}

// peer plays a server: it answers what the client writes, once for each line of script, and
// returns all that it has read by then.
func peer(t *testing.T, listener int, script ...string) <-chan string {
	t.Helper()
	read := make(chan string, 1)
	go func() {
		fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
		if err != nil {
			read <- err.Error()
			return
		}
		defer unix.Close(fd)
		all, buf := "", make([]byte, 4096)
		for _, answer := range script {
			time.Sleep(20 * time.Millisecond) // time to write more than it should
			n, err := unix.Read(fd, buf)
			if err != nil || n == 0 {
				break
			}
			all += string(buf[:n]) + "|"
			_, _ = unix.Write(fd, []byte(answer))
		}
		read <- all
	}()
	return read
}

// No message goes out together with the greeting: sd-bus would not look at it.
func TestGreeting(t *testing.T) {
	listener, address := listen(t)
	read := peer(t, listener, "OK 1234\r\n", "")
	c, err := Dial(address, 1000, time.Now().Add(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Send(&Message{Type: Call, Path: "/", Member: "M"}); err != nil {
		t.Fatal(err)
	}
	if got, want := <-read, "\x00AUTH EXTERNAL 31303030\r\nBEGIN\r\n|l\x01\x00\x01"; !strings.HasPrefix(got, want) {
		t.Errorf("it was written %q, want %q…", got, want)
	}
}

func TestPeersThatMisbehave(t *testing.T) {
	for _, c := range []struct{ name, answer, want string }{
		{"rejects", "REJECTED EXTERNAL\r\n", "credentials"},
		{"no D-Bus", strings.Repeat("x", 8192), "not D-Bus"},
		{"no message", "OK 1\r\nHTTP/1.1 400 Bad Request\r\n", "not D-Bus"},
		{"endless message", "OK 1\r\nl\x02\x00\x01\xff\xff\xff\xff\x01\x00\x00\x00\x00\x00\x00\x00", "too long"},
		{"closes", "OK 1\r\n", "closed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			listener, address := listen(t)
			peer(t, listener, c.answer)
			conn, err := Dial(address, 0, time.Now().Add(10*time.Second))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err = conn.Receive(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestDeadline(t *testing.T) {
	_, address := listen(t)
	start := time.Now()
	c, err := Dial(address, 0, start.Add(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Receive(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the error is %v", err)
	}
	// A queue that is full: connect(2) itself would block.
	for err == nil {
		var more *Conn
		if more, err = Dial(address, 0, time.Now().Add(50*time.Millisecond)); err == nil {
			defer more.Close()
		}
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestDialTakesTheFirstThatAccepts(t *testing.T) {
	_, address := listen(t)
	c, err := Dial("tcp:host=x;unix:path=/nonexistent;"+address, 0, time.Now().Add(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.Address() != address {
		t.Errorf("connected to %s", c.Address())
	}
	if _, err := Dial("unix:path=/nonexistent", 0, time.Now().Add(time.Second)); !errors.Is(err, unix.ENOENT) {
		t.Errorf("the error is %v", err)
	}
}
