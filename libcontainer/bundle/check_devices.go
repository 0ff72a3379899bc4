package bundle

import (
	"io/fs"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The kernel's device numbers have 12 and 20 bits. mknod(2) would take the low
// bits of larger ones, and make another device.
const (
	maxMajor = 1<<12 - 1
	maxMinor = 1<<20 - 1
)

func (c *checker) devices(linux *path) {
	list := c.spec.Linux.Devices
	all := linux.member("devices")
	var byPath map[string]int
	if len(list) > 1 {
		byPath = make(map[string]int, len(list))
	}
	for i := range list {
		d := &list[i]
		at := all.at(i)
		c.absolute(at.member("path"), d.Path)
		c.deviceNode(&at, d)
		// Engines may list a device twice. Two different ones at one path
		// can't both be available.
		if j, ok := byPath[d.Path]; ok && !sameDevice(d, &list[j]) {
			c.failf(at.member("path"), "%q is another device in entry %d", d.Path, j)
		}
		if byPath != nil {
			byPath[d.Path] = i
		}
	}
}

func sameDevice(a, b *specs.LinuxDevice) bool {
	return a.Type == b.Type && a.Major == b.Major && a.Minor == b.Minor
}

func (c *checker) deviceNode(at *path, d *specs.LinuxDevice) {
	var format fs.FileMode
	numbered := true
	switch d.Type {
	case "c", "u":
		format = unix.S_IFCHR
	case "b":
		format = unix.S_IFBLK
	case "p":
		format, numbered = unix.S_IFIFO, false
	case "":
		c.fail(at.member("type"), "must not be empty").Hint = "c, b, u or p"
		return
	default:
		c.failf(at.member("type"), "%q is not a type of device", d.Type).Hint = "c, b, u or p"
		return
	}
	if numbered {
		if d.Major == 0 && d.Minor == 0 {
			// 0:0 is no device (overlayfs has it for deleted files); it is
			// what is left when the numbers aren't given.
			c.failf(at.member("major"), "major and minor are required for type %q", d.Type)
		}
		c.deviceNumber(at.member("major"), d.Major, 0, maxMajor)
		c.deviceNumber(at.member("minor"), d.Minor, 0, maxMinor)
	}
	// Some engines send st_mode as stat(2) has it, with the type's bits.
	if m := d.FileMode; m != nil && *m&^0o7777 != 0 && *m&^0o7777 != format {
		c.failf(at.member("fileMode"), "%d (octal %o) is not the mode of a device of type %q", *m, *m, d.Type).Hint =
			"permission bits as a decimal number: octal 666 is 438"
	}
	if d.UID != nil {
		c.id(at.member("uid"), "", *d.UID, nil)
	}
	if d.GID != nil {
		c.id(at.member("gid"), "", *d.GID, nil)
	}
}

func (c *checker) deviceNumber(at path, n, low, high int64) {
	if n < low || n > high {
		c.failf(at, "must be from %d to %d, it is %d", low, high, n)
	}
}

// deviceRules checks the list of allowed and denied devices. -1 is in use for
// "any", as a number that isn't given.
func (c *checker) deviceRules(resources *path, rules []specs.LinuxDeviceCgroup) {
	all := resources.member("devices")
	for i := range rules {
		r := &rules[i]
		at := all.at(i)
		switch r.Type {
		case "", "a", "b", "c":
		default:
			c.failf(at.member("type"), "%q is not a type of device", r.Type).Hint = "a, b or c"
		}
		if r.Major != nil {
			c.deviceNumber(at.member("major"), *r.Major, -1, maxMajor)
		}
		if r.Minor != nil {
			c.deviceNumber(at.member("minor"), *r.Minor, -1, maxMinor)
		}
		if strings.Trim(r.Access, "rwm") != "" {
			c.failf(at.member("access"), `%q must be made of "r", "w" and "m"`, r.Access)
		}
	}
}

func (c *checker) netDevices(linux *path) {
	devices := c.spec.Linux.NetDevices
	if len(devices) == 0 {
		return
	}
	all := linux.member("netDevices")
	if !c.ns.isolates(nsNetwork) {
		c.fail(all, "needs a network namespace that is not the runtime's").Hint = `add {"type": "network"} to linux.namespaces`
	}
	taken := make(map[string]string, len(devices))
	for _, host := range sortedKeys(devices) {
		at := all.key(host)
		c.interfaceName(at, host)
		name := devices[host].Name
		if name == "" {
			name = host
		} else {
			// The kernel makes a free name of one with %d (dev_alloc_name).
			c.interfaceTemplate(at.member("name"), name)
			if strings.Contains(name, "%d") {
				continue
			}
		}
		if other, ok := taken[name]; ok {
			c.failf(at, "would have the name %q, as device %q", name, other)
		}
		taken[name] = host
	}
}

// interfaceTemplate checks a name in which one %d is allowed.
func (c *checker) interfaceTemplate(at path, name string) {
	c.interfaceSyntax(at, name, strings.Replace(name, "%d", "0", 1))
}

// interfaceName checks a name that is taken as it is.
func (c *checker) interfaceName(at path, name string) {
	c.interfaceSyntax(at, name, name)
}

// interfaceSyntax applies dev_valid_name of the kernel to filled, which is name
// with its template filled in. Any percent sign left would make another
// template.
func (c *checker) interfaceSyntax(at path, name, filled string) {
	switch {
	case name == "":
		c.fail(at, "must not be empty")
	case filled == "." || filled == ".." || !isInterfaceName(filled):
		c.failf(at, "%q is not a name of a network interface", name)
	case len(name) >= unix.IFNAMSIZ:
		c.failf(at, "%q is %d bytes long, the kernel takes %d", name, len(name), unix.IFNAMSIZ-1)
	}
}

// isInterfaceName goes by bytes as the kernel does, whose isspace knows 0xa0,
// also as a part of a UTF-8 sequence.
func isInterfaceName(name string) bool {
	for i := range len(name) {
		switch name[i] {
		case '/', ':', '%', ' ', '\t', '\n', '\v', '\f', '\r', 0xa0:
			return false
		}
	}
	return true
}
