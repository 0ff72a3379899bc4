package netdevice

import (
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRelabel(t *testing.T) {
	for _, tt := range []struct{ label, was, now, want string }{
		{"a0", "a0", "eth0", "eth0"},
		{"a0:web", "a0", "eth0", "eth0:web"},
		{"a00", "a0", "eth0", "a00"},
		{"other", "a0", "eth0", "other"},
		{"a0:123456789ab", "a0", "longername0", "longername0"}, // 15 bytes at most
	} {
		if got := relabel(tt.label, tt.was, tt.now); got != tt.want {
			t.Errorf("%+v: %q", tt, got)
		}
	}
}

// What doesn't fit into an attribute must not become another message (CVE-2021-43784).
func TestAttributeTooLong(t *testing.T) {
	m := newMessage(unix.RTM_GETLINK, 0, header(0, 0, 0)).text(unix.IFLA_IFNAME, strings.Repeat("x", 1<<16))
	if m.err == nil {
		t.Fatal("taken")
	}
	if err := (&conn{fd: -1}).do(m, nil); err != m.err {
		t.Errorf("sent: %v", err)
	}
	if m := newMessage(0, 0, nil).attr(1, make([]byte, maxAttr)); m.err != nil || binary.NativeEndian.Uint16(m.bytes[16:]) != 1<<16-1 {
		t.Error("the longest attribute isn't taken")
	}
}

func TestKernelsWords(t *testing.T) {
	c, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if _, err := c.byName("nosuchdevice0"); !errors.Is(err, unix.ENODEV) {
		t.Errorf("a missing device: %v", err)
	}
	lo, err := c.byName("lo")
	if err != nil || lo.flags&unix.IFF_LOOPBACK == 0 || lo.name != "lo" {
		t.Fatalf("%+v, %v", lo, err)
	}
	if same, err := c.byIndex(lo.index); err != nil || *same != *lo {
		t.Errorf("%+v, %v", same, err)
	}
	// A strict kernel says what it doesn't like.
	body := make([]byte, unix.SizeofIfAddrmsg)
	body[1] = 7
	var refused *kernelError
	if err := c.do(newMessage(unix.RTM_GETADDR, unix.NLM_F_DUMP, body), nil); !errors.As(err, &refused) || refused.errno != unix.EINVAL || refused.text == "" {
		t.Errorf("a bad request: %v", err)
	}
}

// A socket stays in the namespace that it was made in, the thread doesn't.
func TestDialIn(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes a network namespace")
	}
	made := make(chan int)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error(err)
			made <- -1
			return
		}
		fd, err := openOwn()
		if err != nil {
			t.Error(err)
		}
		made <- fd
	}()
	ns := <-made
	if ns < 0 {
		return
	}
	defer unix.Close(ns)
	c, err := dialIn(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	lo, err := c.byName("lo")
	if err != nil || lo.flags&unix.IFF_UP != 0 {
		t.Errorf("the new namespace's loopback: %+v, %v", lo, err)
	}
	if _, err := dialIn(0); err == nil {
		t.Error("standard input was entered as a namespace")
	}
	own, err := openOwn()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(own)
	var a, b unix.Stat_t
	if unix.Fstat(own, &a) != nil || unix.Fstat(ns, &b) != nil || a.Ino == b.Ino {
		t.Error("the thread is still in the other namespace")
	}
}

// Whatever comes from the socket is read without going beyond it.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte{20, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xed, 0xff, 0xff, 0xff})
	f.Add([]byte{24, 0, 0, 0, 3, 0, 0, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0xea, 0xff, 0xff, 0xff, 9, 0, 1, 0})
	f.Fuzz(func(_ *testing.T, data []byte) {
		c, interrupted := &conn{seq: 1}, false
		_, _ = c.answer(data, &interrupted, func(body []byte) {
			attributes(body, func(_ uint16, data []byte) { _ = text(data) })
		})
	})
}

func TestAddressString(t *testing.T) {
	own := func(b ...byte) []attribute { return []attribute{{unix.IFA_ADDRESS, []byte{9}}, {unix.IFA_LOCAL, b}} }
	for want, a := range map[string]address{
		"10.1.2.3/24":            {prefix: 24, attrs: own(10, 1, 2, 3)},
		"fd00:0:0:0:0:0:0:1f/64": {prefix: 64, attrs: own(0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x1f)},
		"of family 12":           {family: 12},
	} {
		if got := a.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
