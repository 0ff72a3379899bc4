package netdevice

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// address is one of a device's, as a struct ifaddrmsg and its attributes.
type address struct {
	family, prefix uint8
	flags          uint32
	attrs          []attribute
}

type attribute struct {
	typ  uint16
	data []byte
}

// ifaProto says who set an address (IFA_PROTO, Linux 5.18).
const ifaProto = 11

// keptFlags are those that say how an address is to be used. The others tell
// what became of it on its device, and are the kernel's to set.
const keptFlags = unix.IFA_F_NODAD | unix.IFA_F_HOMEADDRESS | unix.IFA_F_MANAGETEMPADDR | unix.IFA_F_NOPREFIXROUTE | unix.IFA_F_MCAUTOJOIN

// dumpAttempts bounds how often a list of addresses is asked for while it changes.
const dumpAttempts = 10

// addresses lists the addresses of a device that have to go with it: permanent
// and of global scope, of any family (config-linux.md, Network Devices).
func (c *conn) addresses(index int32) ([]address, error) {
	for range dumpAttempts {
		list, err := c.dumpAddresses(index)
		if !errors.Is(err, errInterrupted) {
			return list, err
		}
	}
	return nil, errInterrupted
}

func (c *conn) dumpAddresses(index int32) ([]address, error) {
	body := make([]byte, unix.SizeofIfAddrmsg)
	binary.NativeEndian.PutUint32(body[4:], uint32(index))
	var list []address
	err := c.do(newMessage(unix.RTM_GETADDR, unix.NLM_F_DUMP, body), func(body []byte) {
		if len(body) < unix.SizeofIfAddrmsg || binary.NativeEndian.Uint32(body[4:]) != uint32(index) {
			return
		}
		a := address{family: body[0], prefix: body[1], flags: uint32(body[2])}
		scope := body[3]
		attributes(body[unix.SizeofIfAddrmsg:], func(typ uint16, data []byte) {
			switch typ {
			case unix.IFA_FLAGS:
				if len(data) >= 4 {
					a.flags = binary.NativeEndian.Uint32(data)
				}
			case unix.IFA_ADDRESS, unix.IFA_LOCAL, unix.IFA_LABEL, unix.IFA_BROADCAST, unix.IFA_RT_PRIORITY, unix.IFA_CACHEINFO, ifaProto:
				a.attrs = append(a.attrs, attribute{typ, append([]byte(nil), data...)})
			}
		})
		if a.flags&unix.IFA_F_PERMANENT != 0 && scope == unix.RT_SCOPE_UNIVERSE {
			list = append(list, a)
		}
	})
	return list, err
}

// addAddress gives a device an address that it had elsewhere, under the name was.
func (c *conn) addAddress(l *link, a *address, was string) error {
	body := make([]byte, unix.SizeofIfAddrmsg)
	body[0], body[1], body[3] = a.family, a.prefix, unix.RT_SCOPE_UNIVERSE
	binary.NativeEndian.PutUint32(body[4:], uint32(l.index))
	m := newMessage(unix.RTM_NEWADDR, unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_EXCL, body)
	m.number(unix.IFA_FLAGS, a.flags&keptFlags)
	for _, at := range a.attrs {
		switch at.typ {
		case unix.IFA_LABEL:
			m.text(unix.IFA_LABEL, relabel(text(at.data), was, l.name))
		case unix.IFA_CACHEINFO:
			m.attr(unix.IFA_CACHEINFO, forever(at.data))
		default:
			m.attr(at.typ, at.data)
		}
	}
	return c.do(m, nil)
}

// relabel keeps the convention that an IPv4 label begins with its device's name (netdevice(7), ifconfig's aliases).
func relabel(label, was, now string) string {
	rest, ok := strings.CutPrefix(label, was)
	switch {
	case !ok || rest != "" && rest[0] != ':':
		return label
	case len(now)+len(rest) >= unix.IFNAMSIZ:
		return now
	}
	return now + rest
}

// forever is a struct ifa_cacheinfo of an address that stays valid; how long it is preferred is kept.
func forever(info []byte) []byte {
	b := make([]byte, 16) // preferred, valid, and two time stamps
	copy(b[:4], info)
	binary.NativeEndian.PutUint32(b[4:], math.MaxUint32)
	return b
}

// String is the address with its prefix. It does without net/netip, whose init would be every command's.
func (a *address) String() string {
	var own []byte
	for _, at := range a.attrs {
		if at.typ == unix.IFA_LOCAL || at.typ == unix.IFA_ADDRESS && own == nil {
			own = at.data
		}
	}
	switch len(own) {
	case 4:
		return fmt.Sprintf("%d.%d.%d.%d/%d", own[0], own[1], own[2], own[3], a.prefix)
	case 16:
		groups := make([]string, 8)
		for i := range groups {
			groups[i] = strconv.FormatUint(uint64(binary.BigEndian.Uint16(own[2*i:])), 16)
		}
		return strings.Join(groups, ":") + "/" + strconv.Itoa(int(a.prefix))
	}
	return "of family " + strconv.Itoa(int(a.family))
}
