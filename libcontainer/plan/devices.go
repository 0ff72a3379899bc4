package plan

import (
	"path"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/nsenter"
)

// ownsDev tells whether what ends up at /dev is the container's own: the
// rootfs's, or a new filesystem. Where the config binds some other /dev there,
// that one is left as it is, but for devices that the config lists.
func ownsDev(mounts []specs.Mount) bool {
	owns := true
	for i := range mounts {
		if insideRoot(mounts[i].Destination) != "/dev" {
			continue
		}
		if o := parseOptions(mounts[i].Options); !o.remount {
			owns = !o.bind
		}
	}
	return owns
}

func (c *compiler) devices() error {
	for i := range c.linux.Devices {
		d := &c.linux.Devices[i]
		field := item("linux.devices", i, d.Path)
		if path.Clean(d.Path) == "/dev/ptmx" && c.ownsDev {
			if d.Type == "p" || d.Type == "b" || d.Major != 5 || d.Minor != 2 {
				return fail(field, "/dev/ptmx is the multiplexer of the container's terminals, 5:2")
			}
			continue // the container's own, below
		}
		if err := c.device(field, d); err != nil {
			return err
		}
	}
	if !c.ownsDev {
		return nil
	}
	c.defaultDevices()
	// The multiplexer of the container's own devpts (config-linux.md), whatever the image has there.
	c.add(byDefault("/dev/ptmx"), nsenter.Symlink{Path: "/dev/ptmx", To: "pts/ptmx", Replace: 1})
	for _, l := range [...][2]string{{"/dev/fd", "/proc/self/fd"}, {"/dev/stdin", "/proc/self/fd/0"}, {"/dev/stdout", "/proc/self/fd/1"},
		{"/dev/stderr", "/proc/self/fd/2"}, {"/dev/core", "/proc/kcore"}} {
		c.add(byDefault(l[0]), nsenter.Symlink{Path: l[0], To: l[1]})
	}
	return nil
}

// byDefault names what isn't in the config, for errors.
func byDefault(path string) string { return "linux.devices (" + path + ", a default one)" }

// defaultDevices supplies every container with what it can rely on
// (config-linux.md, Default Devices), unless the config has its own idea of it.
func (c *compiler) defaultDevices() {
	for _, d := range [...]struct {
		path         string
		major, minor uint64
	}{{"/dev/null", 1, 3}, {"/dev/random", 1, 8}, {"/dev/full", 1, 7}, {"/dev/tty", 5, 0}, {"/dev/zero", 1, 5}, {"/dev/urandom", 1, 9}} {
		listed := func(l specs.LinuxDevice) bool { return path.Clean(l.Path) == d.path }
		if !slices.ContainsFunc(c.linux.Devices, listed) {
			c.node(byDefault(d.path), nsenter.Mknod{Path: d.path, Mode: unix.S_IFCHR | 0o666, Device: d.major<<32 | d.minor})
		}
	}
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
	op := nsenter.Mknod{Path: d.Path, Mode: mode, Device: number}
	if d.UID != nil {
		op.UID = uint64(*d.UID)
	}
	if d.GID != nil {
		op.GID = uint64(*d.GID)
	}
	c.node(field, op)
	return nil
}

// node makes a device available. In a user namespace there is no mknod(2) but
// for FIFOs, user_namespaces(7): the host's node is bound, with its owner and mode.
// Where nothing may be mounted, or the host's nodes are there already, mknod
// leaves one that exists alone and sees that it is the right one.
func (c *compiler) node(field string, op nsenter.Mknod) {
	foreign := c.plan.userns || c.in.Facts.InUserNS || c.in.Facts.EUID != 0
	there := c.hostTree || !c.ownsDev && below(path.Clean(op.Path), "/dev")
	if foreign && !there && op.Mode&unix.S_IFMT != unix.S_IFIFO {
		c.add(field, nsenter.BindDevice{Path: op.Path, Source: op.Path, Mode: op.Mode, Device: op.Device})
		return
	}
	c.add(field, op)
}
