package netdevice

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// link is a network device as one namespace sees it.
type link struct {
	index  int32
	flags  uint32 // IFF_*
	name   string
	master uint32 // the index of the bridge or bond that it is a port of, 0 for none
}

// skipStats leaves counters out of an answer (RTEXT_FILTER_SKIP_STATS, linux/rtnetlink.h).
const skipStats = 1 << 3

// header is a struct ifinfomsg.
func header(index int32, flags, change uint32) []byte {
	b := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(b[4:], uint32(index))
	binary.NativeEndian.PutUint32(b[8:], flags)
	binary.NativeEndian.PutUint32(b[12:], change)
	return b
}

// byName looks a device up. A missing one is unix.ENODEV.
func (c *conn) byName(name string) (*link, error) {
	return c.get(newMessage(unix.RTM_GETLINK, unix.NLM_F_ACK, header(0, 0, 0)).text(unix.IFLA_IFNAME, name))
}

func (c *conn) byIndex(index int32) (*link, error) {
	return c.get(newMessage(unix.RTM_GETLINK, unix.NLM_F_ACK, header(index, 0, 0)))
}

func (c *conn) get(m *message) (*link, error) {
	var found *link
	err := c.do(m.number(unix.IFLA_EXT_MASK, skipStats), func(body []byte) {
		if len(body) < unix.SizeofIfInfomsg {
			return
		}
		l := &link{index: int32(binary.NativeEndian.Uint32(body[4:])), flags: binary.NativeEndian.Uint32(body[8:])}
		attributes(body[unix.SizeofIfInfomsg:], func(typ uint16, data []byte) {
			switch {
			case typ == unix.IFLA_IFNAME:
				l.name = text(data)
			case typ == unix.IFLA_MASTER && len(data) >= 4:
				l.master = binary.NativeEndian.Uint32(data)
			}
		})
		found = l
	})
	if err == nil && found == nil {
		err = errors.New("the kernel gave no answer")
	}
	return found, err
}

// move takes a device of c's namespace to the namespace ns, where it is called name. It is down afterwards.
func (c *conn) move(index int32, ns int, name string) error {
	m := newMessage(unix.RTM_SETLINK, unix.NLM_F_ACK, header(index, 0, 0))
	return c.do(m.number(unix.IFLA_NET_NS_FD, uint32(ns)).text(unix.IFLA_IFNAME, name), nil)
}

// rename gives a device that is down another name; of a template the kernel makes a free one.
func (c *conn) rename(index int32, name string) error {
	return c.do(newMessage(unix.RTM_SETLINK, unix.NLM_F_ACK, header(index, 0, 0)).text(unix.IFLA_IFNAME, name), nil)
}

func (c *conn) setUp(index int32) error {
	return c.do(newMessage(unix.RTM_SETLINK, unix.NLM_F_ACK, header(index, unix.IFF_UP, unix.IFF_UP)), nil)
}

// enslave makes a device a port of a bridge or bond.
func (c *conn) enslave(index int32, master uint32) error {
	return c.do(newMessage(unix.RTM_SETLINK, unix.NLM_F_ACK, header(index, 0, 0)).number(unix.IFLA_MASTER, master), nil)
}
