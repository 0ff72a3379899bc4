package systemd

import (
	"fmt"
	"slices"
	"strings"
)

// Unit is where a container is among systemd's units.
type Unit struct {
	Name  string // "runc-ID.scope", or a slice's
	Slice string // the slice it is in, with its suffix
}

// IsSlice tells whether the unit is a slice, which has no processes of its own to begin with.
func (u Unit) IsSlice() bool { return strings.HasSuffix(u.Name, sliceSuffix) }

const (
	sliceSuffix = ".slice"
	maxName     = 255 // UNIT_NAME_MAX of systemd without its NUL
	// defaultPrefix is what runc's containers without a path are called by: scripts that look
	// for a container's unit know that name.
	defaultPrefix = "runc"
)

// ParsePath reads linux.cgroupsPath in systemd's form, slice:prefix:name. The unit is
// prefix-name.scope in the slice, or the slice name where name ends in ".slice". Without a
// slice it is in system.slice, and a user's in user.slice; without a path the name is the
// container's id.
func ParsePath(path, id string, user bool) (Unit, error) {
	u := Unit{Slice: "system" + sliceSuffix}
	if user {
		u.Slice = "user" + sliceSuffix
	}
	if path == "" {
		u.Name = defaultPrefix + "-" + escapeName(id) + ".scope"
		return u, u.check()
	}
	parts := strings.Split(path, ":")
	if len(parts) != 3 {
		return u, fmt.Errorf(`linux.cgroupsPath: expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got %q instead`, path)
	}
	if parts[0] != "" {
		u.Slice = parts[0]
	}
	if u.Name = parts[2]; !u.IsSlice() {
		u.Name = parts[1] + "-" + parts[2] + ".scope"
	}
	if parts[2] == "" {
		return u, fmt.Errorf("linux.cgroupsPath: %q names no unit after the second colon", path)
	}
	return u, u.check()
}

// IsPath tells whether a cgroupsPath is of systemd's form.
func IsPath(path string) bool {
	return strings.Count(path, ":") == 2 && (path[0] == ':' || strings.HasSuffix(path[:strings.IndexByte(path, ':')], sliceSuffix))
}

func (u Unit) check() error {
	if err := checkSlice(u.Slice); err != nil {
		return err
	}
	if u.IsSlice() {
		return checkSlice(u.Name)
	}
	if at := invalidByte(u.Name); at >= 0 {
		return fmt.Errorf("linux.cgroupsPath: %q can't be a unit's name, for its %q; letters, digits and any of :-_.\\@ can be in one", u.Name, u.Name[at])
	}
	if len(u.Name) > maxName {
		return fmt.Errorf("linux.cgroupsPath: the unit's name %.32q… has %d characters, more than %d", u.Name, len(u.Name), maxName)
	}
	return nil
}

func checkSlice(slice string) error {
	base, ok := strings.CutSuffix(slice, sliceSuffix)
	switch {
	case !ok:
		return fmt.Errorf("linux.cgroupsPath: %q is not the name of a slice, which ends in .slice", slice)
	case base == "-":
		return nil
	case base == "", base[0] == '-', base[len(base)-1] == '-', strings.Contains(base, "--"), invalidByte(base) >= 0, len(slice) > maxName:
		return fmt.Errorf("linux.cgroupsPath: %q can't be the name of a slice (systemd.slice(5))", slice)
	}
	return nil
}

func invalidByte(name string) int {
	return strings.IndexFunc(name, func(c rune) bool { return !isNameByte(c) && c != '\\' && c != '@' })
}

func isNameByte(c rune) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || strings.ContainsRune(":-_.", c)
}

// escapeName writes what can't be in a unit's name as \xNN, as systemd-escape(1) does.
func escapeName(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if isNameByte(rune(s[i])) {
			b.WriteByte(s[i])
			continue
		}
		fmt.Fprintf(&b, `\x%02x`, s[i])
	}
	return b.String()
}

// ControlGroup returns the unit's cgroup below its manager's: a slice a-b.slice is in a.slice
// (systemd.slice(5)).
func (u Unit) ControlGroup() string {
	name := u.Name
	if u.IsSlice() {
		return expandSlice(name)
	}
	return expandSlice(u.Slice) + "/" + escapeCgroup(name)
}

func expandSlice(slice string) string {
	base := strings.TrimSuffix(slice, sliceSuffix)
	if base == "-" {
		return ""
	}
	var b strings.Builder
	for i := range len(base) + 1 {
		if i == len(base) || base[i] == '-' {
			b.WriteString("/" + escapeCgroup(base[:i]+sliceSuffix))
		}
	}
	return b.String()
}

// controllers that systemd knows, whose files a cgroup's name must not look like.
var controllers = [...]string{"blkio", "cgroup", "cpu", "cpuacct", "cpuset", "devices", "io", "memory", "pids"}

// escapeCgroup keeps a cgroup's name apart from the kernel's files beside it, as systemd does:
// a name that could be one gets a "_" in front.
func escapeCgroup(name string) string {
	prefix, _, _ := strings.Cut(name, ".")
	if name[0] == '_' || name[0] == '.' || slices.Contains(controllers[:], prefix) {
		return "_" + name
	}
	return name
}

// UnitOf returns the unit that has the cgroup with this directory.
func UnitOf(dir string) string {
	return strings.TrimPrefix(dir[strings.LastIndexByte(dir, '/')+1:], "_")
}

// unitPath is the bus object of a unit: what isn't a letter or digit is _xx there.
func unitPath(unit string) string {
	var b strings.Builder
	b.WriteString(objectPath + "/unit/")
	for i := range len(unit) {
		c := unit[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "_%02x", c)
		}
	}
	return b.String()
}

// unitInterface is where a unit keeps what is special to its type, its cgroup too.
func unitInterface(unit string) string {
	if strings.HasSuffix(unit, sliceSuffix) {
		return busName + ".Slice"
	}
	return busName + ".Scope"
}
