package plan

import (
	"fmt"
	"path"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/nsenter"
)

// ownsDev tells whether /dev is the container's: where the config binds some other /dev there, that one is left as it is.
func (c *compiler) ownsDev() bool {
	for i := range c.spec.Mounts {
		m := &c.spec.Mounts[i]
		if path.Clean("/"+m.Destination) == "/dev" {
			o := parseOptions(m.Options)
			if o.bind || m.Type == "bind" {
				return false
			}
		}
	}
	return true
}

// defaultDevices are supplied to every container (config-linux.md, Default Devices).
func defaultDevices() []specs.LinuxDevice {
	mode, zero := modePtr(0o666), uint32(0)
	device := func(p string, major, minor int64) specs.LinuxDevice {
		return specs.LinuxDevice{Path: p, Type: "c", Major: major, Minor: minor, FileMode: mode, UID: &zero, GID: &zero}
	}
	return []specs.LinuxDevice{
		device("/dev/null", 1, 3), device("/dev/random", 1, 8), device("/dev/full", 1, 7),
		device("/dev/tty", 5, 0), device("/dev/zero", 1, 5), device("/dev/urandom", 1, 9),
	}
}

func (c *compiler) devices() error {
	listed := make(map[string]bool, len(c.linux.Devices))
	for i := range c.linux.Devices {
		d := &c.linux.Devices[i]
		listed[path.Clean(d.Path)] = true
		if path.Clean(d.Path) == "/dev/ptmx" {
			continue // always the container's own, below
		}
		if err := c.device(fmt.Sprintf("linux.devices[%d] (%s)", i, d.Path), d); err != nil {
			return err
		}
	}
	for _, d := range defaultDevices() {
		if !listed[d.Path] {
			if err := c.device("", &d); err != nil {
				return err
			}
		}
	}
	// The multiplexer of the container's own devpts (config-linux.md), whatever the image has there.
	c.add("", nsenter.Symlink{Path: "/dev/ptmx", To: "pts/ptmx", Replace: 1})
	for _, l := range [...][2]string{{"/dev/fd", "/proc/self/fd"}, {"/dev/stdin", "/proc/self/fd/0"}, {"/dev/stdout", "/proc/self/fd/1"},
		{"/dev/stderr", "/proc/self/fd/2"}, {"/dev/core", "/proc/kcore"}} {
		c.add("", nsenter.Symlink{Path: l[0], To: l[1]})
	}
	return nil
}

func (c *compiler) device(field string, d *specs.LinuxDevice) error {
	mode := uint64(0o666)
	if d.FileMode != nil {
		mode = uint64(*d.FileMode) & 0o7777
	}
	switch d.Type {
	case "c", "u":
		mode |= unix.S_IFCHR
	case "b":
		mode |= unix.S_IFBLK
	case "p":
		mode |= unix.S_IFIFO
	default:
		return fail(field, "unknown device type %q", d.Type)
	}
	var number uint64
	if d.Type != "p" {
		if d.Major < 0 || d.Minor < 0 || d.Major > 0xfff || d.Minor > 0xfffff {
			return fail(field, "there is no device %d:%d", d.Major, d.Minor)
		}
		number = uint64(d.Major)<<32 | uint64(d.Minor)
	}
	// mknod(2) of devices is the initial user namespace's, user_namespaces(7).
	if d.Type != "p" && (c.plan.userns || c.in.Facts.InUserNS || c.in.Facts.EUID != 0) {
		c.add(field, nsenter.BindDevice{Path: d.Path, Source: d.Path, Mode: mode, Device: number})
		return nil
	}
	op := nsenter.Mknod{Path: d.Path, Mode: mode, Device: number}
	if d.UID != nil {
		op.UID = uint64(*d.UID)
	}
	if d.GID != nil {
		op.GID = uint64(*d.GID)
	}
	c.add(field, op)
	return nil
}
