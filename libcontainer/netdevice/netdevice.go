// Package netdevice moves network devices of the host into a container's
// network namespace (config-linux.md, Network Devices).
//
// The kernel keeps a device's attributes (its hardware address, MTU, queue
// length, alias) when it changes its namespace, and takes its addresses away:
// those that are permanent and of global scope, of every family, are set anew.
// It needs CAP_NET_ADMIN over both namespaces and CAP_SYS_ADMIN over the container's.
package netdevice

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Device is one to be moved.
type Device struct {
	Name string // its name on the host
	// To is its name in the container. Of one %d in it the kernel makes the first number that is free.
	To string
}

// Error is a device that can't be moved.
type Error struct {
	Device string // its name on the host
	Reason string
	Hint   string // what to try, possibly empty
	Err    error  // the kernel's, or nil
}

func (e *Error) Error() string {
	s := "linux.netDevices[" + strconv.Quote(e.Device) + "]: " + e.Reason
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Moved are devices that are in the container's network namespace, for as long
// as its creation may still fail.
type Moved struct {
	host, container     *conn
	hostNS, containerNS int
	devices             []moved
}

// moved is a device with what it takes to undo its move.
type moved struct {
	Device
	old       *link
	now       *link // nil while it isn't known to be in the container's namespace
	addresses []address
}

// Move moves devices to the network namespace of a process, which the caller
// keeps from ending, and sets them up there. All of them are checked before
// the first one is moved, and after an error those that were moved are back.
//
// The caller ends with Close, before which Undo is possible. The namespace
// stays alive until then, so that the devices outlive the process.
func Move(devices []Device, pid int) (*Moved, error) {
	m := &Moved{hostNS: -1, containerNS: -1}
	if err := m.open(pid); err != nil {
		m.Close()
		return nil, fmt.Errorf("linux.netDevices: %w", err)
	}
	if err := m.move(devices); err != nil {
		err = errors.Join(err, m.Undo())
		m.Close()
		return nil, err
	}
	return m, nil
}

func (m *Moved) open(pid int) error {
	var err error
	if m.hostNS, err = openOwn(); err != nil {
		return err
	}
	path := "/proc/" + strconv.Itoa(pid) + "/ns/net"
	if m.containerNS, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	var host, container unix.Stat_t
	if err := unix.Fstat(m.hostNS, &host); err != nil {
		return err
	}
	if err := unix.Fstat(m.containerNS, &container); err != nil {
		return err
	}
	if host.Dev == container.Dev && host.Ino == container.Ino {
		return errors.New(`the container's network namespace is the runtime's: there is nowhere to move a device to (add {"type": "network"} to linux.namespaces, or give the path of another one)`)
	}
	if m.host, err = dial(); err != nil {
		return err
	}
	m.container, err = dialIn(m.containerNS)
	return err
}

// Close ends the possibility to undo; the devices stay where they are.
func (m *Moved) Close() {
	for _, c := range []*conn{m.host, m.container} {
		if c != nil {
			c.close()
		}
	}
	for _, fd := range []int{m.hostNS, m.containerNS} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

func (m *Moved) move(devices []Device) error {
	all := make([]moved, len(devices))
	for i, d := range devices {
		old, err := m.check(d)
		if err != nil {
			return err
		}
		all[i] = moved{Device: d, old: old}
		if all[i].addresses, err = m.host.addresses(old.index); err != nil {
			return &Error{Device: d.Name, Reason: "list its addresses", Err: err}
		}
	}
	for i := range all {
		m.devices = append(m.devices, all[i])
		if err := m.moveOne(&m.devices[i]); err != nil {
			return err
		}
	}
	return nil
}

// check finds out whether a device can be moved, as far as it can be known before.
func (m *Moved) check(d Device) (*link, error) {
	old, err := m.host.byName(d.Name)
	switch {
	case errors.Is(err, unix.ENODEV):
		return nil, &Error{Device: d.Name, Reason: "there is no network device of that name in the runtime's network namespace", Hint: `"ip link" lists them`}
	case err != nil:
		return nil, &Error{Device: d.Name, Reason: "look it up", Err: err}
	case old.name != d.Name: // found by an alternative name (ip-link(8), altname)
		return nil, &Error{Device: d.Name, Reason: "is an alternative name of device " + old.name, Hint: "give that name"}
	case old.flags&unix.IFF_LOOPBACK != 0:
		return nil, &Error{Device: d.Name, Reason: "is a loopback device, which can't leave its network namespace", Hint: "the container has one of its own, brought up"}
	}
	if strings.Contains(d.To, "%d") {
		return old, nil
	}
	_, err = m.container.byName(d.To)
	switch {
	case err == nil:
		return nil, &Error{Device: d.Name, Reason: fmt.Sprintf("the container's network namespace has a device %q already", d.To),
			Hint: "choose another name, or a template such as eth%d"}
	case !errors.Is(err, unix.ENODEV):
		return nil, &Error{Device: d.Name, Reason: fmt.Sprintf("look up %q in the container's network namespace", d.To), Err: err}
	}
	return old, nil
}

func (m *Moved) moveOne(d *moved) error {
	arrives := d.To
	if template := strings.Contains(d.To, "%d"); template {
		// Under an interim name: of a template the kernel makes the first name that is free, and the device's own would count as taken.
		arrives = fmt.Sprintf("dvt%x", uint32(os.Getpid())<<8|uint32(len(m.devices))&0xff)
	}
	if err := m.host.move(d.old.index, m.containerNS, arrives); err != nil {
		// If the new name was taken just now it may be there with its old one. Another device may have that name, too.
		if _, gone := m.host.byIndex(d.old.index); errors.Is(gone, unix.ENODEV) {
			m.arrived(d, d.Name)
		}
		return &Error{Device: d.Name, Reason: "move it to the container's network namespace", Err: err, Hint: moveHint(err)}
	}
	if !m.arrived(d, arrives) {
		return &Error{Device: d.Name, Reason: "is not found in the container's network namespace", Err: unix.ENODEV}
	}
	if arrives != d.To {
		if err := m.container.rename(d.now.index, d.To); err != nil {
			return &Error{Device: d.Name, Reason: fmt.Sprintf("name it %q", d.To), Err: err}
		}
		now, err := m.container.byIndex(d.now.index)
		if err != nil {
			return &Error{Device: d.Name, Reason: "look up its new name", Err: err}
		}
		d.now = now
	}
	for i := range d.addresses {
		if err := m.container.addAddress(d.now, &d.addresses[i], d.Name); err != nil {
			return &Error{Device: d.Name, Reason: "set its address " + d.addresses[i].String(), Err: err}
		}
	}
	if err := m.container.setUp(d.now.index); err != nil {
		return &Error{Device: d.Name, Reason: "set it up", Err: err}
	}
	return nil
}

func (m *Moved) arrived(d *moved, name string) bool {
	now, err := m.container.byName(name)
	if err == nil {
		d.now = now
	}
	return err == nil
}

func moveHint(err error) string {
	switch {
	case errors.Is(err, unix.EPERM):
		return "that takes CAP_NET_ADMIN over the network namespace that the device is in"
	case errors.Is(err, unix.EINVAL):
		return "devices such as bridges and tunnels' fall-backs can't leave the network namespace that they were made in"
	}
	return ""
}

// Undo moves the devices back to where they were, with their names, addresses
// and states. Routes through them are the kernel's to forget. It is for a
// creation that failed: a container that exists keeps its devices to the end.
func (m *Moved) Undo() error {
	var errs []error
	for i := len(m.devices) - 1; i >= 0; i-- {
		if d := &m.devices[i]; d.now != nil {
			if err := m.undoOne(d); err != nil {
				errs = append(errs, &Error{Device: d.Name, Reason: "move it back", Err: err})
			}
		}
	}
	m.devices = nil
	return errors.Join(errs...)
}

func (m *Moved) undoOne(d *moved) error {
	if err := m.container.move(d.now.index, m.hostNS, d.Name); err != nil {
		return err
	}
	back, err := m.host.byName(d.Name)
	if err != nil {
		return err
	}
	var errs []error
	if d.old.master != 0 {
		errs = append(errs, m.host.enslave(back.index, d.old.master))
	}
	for i := range d.addresses {
		errs = append(errs, m.host.addAddress(back, &d.addresses[i], d.Name))
	}
	if d.old.flags&unix.IFF_UP != 0 {
		errs = append(errs, m.host.setUp(back.index))
	}
	return errors.Join(errs...)
}
