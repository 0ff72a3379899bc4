package plan

import (
	"strings"

	"golang.org/x/sys/unix"
)

// mountOptions is what the options of one mount ask for. Attributes belong to
// the mount, super flags to the superblock; data is the filesystem's own.
type mountOptions struct {
	bind, recursive, remount, copyUp, idmap, idmapTree bool

	own         attributes // of the mount itself
	tree        attributes // of the mount and all below it
	super       uint64     // MS_* of the superblock
	propagation uint64     // MS_*, 0 for none
	mixed       bool       // kinds of propagation that can't be combined
	unsupported string     // an option that mount(8) would act upon
	data        []string
}

// parseOptions reads mounts[].options (config.md, Linux mount options). Where
// two options contradict each other the later one wins, as in mount(8).
func parseOptions(options []string) mountOptions {
	var o mountOptions
	for _, opt := range options {
		if !o.flag(opt) && !o.attribute(opt) && !o.propagate(opt) {
			o.data = append(o.data, opt)
		}
	}
	return o
}

// flag takes the options that steer the mount itself, those of the superblock, and those without an effect here.
func (o *mountOptions) flag(opt string) bool {
	switch opt {
	case "defaults", "loud", "silent":
		// The kernel's messages come through the fs context, there is nothing to be silenced.
	case "auto", "noauto", "nofail", "nouser", "nousers", "noowner", "nogroup", "_netdev":
		// About when and by whom fstab(5) is mounted: mount(8) keeps them to itself.
	case "user", "users":
		o.own.on(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC)
	case "owner", "group":
		o.own.on(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV)
	case "bind":
		o.bind = true
	case "rbind":
		o.bind, o.recursive = true, true
	case "remount":
		o.remount = true
	case "tmpcopyup":
		o.copyUp = true
	case "idmap":
		o.idmap = true
	case "ridmap":
		o.idmap, o.idmapTree = true, true
	case "sync":
		o.super |= unix.MS_SYNCHRONOUS
	case "async":
		o.super &^= unix.MS_SYNCHRONOUS
	case "dirsync":
		o.super |= unix.MS_DIRSYNC
	case "lazytime":
		o.super |= unix.MS_LAZYTIME
	case "nolazytime":
		o.super &^= unix.MS_LAZYTIME
	case "mand":
		o.super |= unix.MS_MANDLOCK
	case "nomand":
		o.super &^= unix.MS_MANDLOCK
	case "iversion":
		o.super |= unix.MS_I_VERSION
	case "noiversion":
		o.super &^= unix.MS_I_VERSION
	default:
		return o.userspace(opt)
	}
	return true
}

// userspace takes what mount(8) does itself, or keeps for other programs.
func (o *mountOptions) userspace(opt string) bool {
	switch {
	case strings.HasPrefix(opt, "x-"), strings.HasPrefix(opt, "comment="), strings.HasPrefix(opt, "X-mount.mkdir"):
		// Mount points are made in any case.
	case strings.HasPrefix(opt, "X-"), opt == "loop", strings.HasPrefix(opt, "loop="), strings.HasPrefix(opt, "uhelper="), strings.HasPrefix(opt, "helper="):
		o.unsupported = opt
	default:
		return false
	}
	return true
}

// attribute takes options such as nosuid and, with an r before it, for the
// whole tree, such as rnosuid. A tree's attribute is the mount's own too, so
// that own is in order what the options say of the mount.
func (o *mountOptions) attribute(opt string) bool {
	if o.own.take(opt) {
		return true
	}
	// "ro", "rw" and "relatime" begin with an r of their own and were taken above.
	if len(opt) < 2 || opt[0] != 'r' || !o.tree.take(opt[1:]) {
		return false
	}
	return o.own.take(opt[1:])
}

func (o *mountOptions) propagate(opt string) bool {
	flags := propagation(opt)
	if flags == 0 {
		return false
	}
	switch kind, wanted := o.propagation&^msRec, flags&^msRec; {
	case kind == 0 || kind == wanted:
		o.propagation |= flags
	case kind|wanted == unix.MS_SLAVE|unix.MS_SHARED && o.propagation&msRec == flags&msRec:
		// A slave of its master and the master of its own slaves, mount_namespaces(7).
		o.propagation |= flags
	default:
		o.mixed = true
	}
	return true
}

// filesystemOption names an option that is about the filesystem, not about this mount of it; "" if there is none.
func (o *mountOptions) filesystemOption() string {
	if len(o.data) > 0 {
		return o.data[0]
	}
	for _, s := range [...]struct {
		flag uint64
		name string
	}{{unix.MS_SYNCHRONOUS, "sync"}, {unix.MS_DIRSYNC, "dirsync"}, {unix.MS_LAZYTIME, "lazytime"}, {unix.MS_MANDLOCK, "mand"}, {unix.MS_I_VERSION, "iversion"}} {
		if o.super&s.flag != 0 {
			return s.name
		}
	}
	return ""
}

// atime marks attributes that are values of one field, not bits: setting one replaces the other.
const atime = unix.MOUNT_ATTR__ATIME

// attributes are MOUNT_ATTR_* flags as mount_setattr(2) takes them: what is in neither set stays as it is.
type attributes struct{ set, clear uint64 }

func (a *attributes) on(bit uint64) {
	a.set |= bit
	a.clear &^= bit
}

func (a *attributes) off(bit uint64) {
	a.set &^= bit
	a.clear |= bit
}

// access sets the field of access times; for that mount_setattr(2) wants the whole field cleared.
func (a *attributes) access(value uint64) {
	a.set = a.set&^atime | value
	a.clear |= atime
}

// relatime tells whether relatime, whose value is zero, was asked for.
func (a *attributes) relatime() bool {
	return a.clear&atime != 0 && a.set&atime == unix.MOUNT_ATTR_RELATIME
}

func (a *attributes) readOnly() bool { return a.set&unix.MOUNT_ATTR_RDONLY != 0 }

// take applies an option if it is one of an attribute.
func (a *attributes) take(opt string) bool {
	switch opt {
	case "ro":
		a.on(unix.MOUNT_ATTR_RDONLY)
	case "rw":
		a.off(unix.MOUNT_ATTR_RDONLY)
	case "nosuid":
		a.on(unix.MOUNT_ATTR_NOSUID)
	case "suid":
		a.off(unix.MOUNT_ATTR_NOSUID)
	case "nodev":
		a.on(unix.MOUNT_ATTR_NODEV)
	case "dev":
		a.off(unix.MOUNT_ATTR_NODEV)
	case "noexec":
		a.on(unix.MOUNT_ATTR_NOEXEC)
	case "exec":
		a.off(unix.MOUNT_ATTR_NOEXEC)
	case "nodiratime":
		a.on(unix.MOUNT_ATTR_NODIRATIME)
	case "diratime":
		a.off(unix.MOUNT_ATTR_NODIRATIME)
	case "nosymfollow":
		a.on(unix.MOUNT_ATTR_NOSYMFOLLOW)
	case "symfollow":
		a.off(unix.MOUNT_ATTR_NOSYMFOLLOW)
	case "noatime":
		a.access(unix.MOUNT_ATTR_NOATIME)
	case "strictatime":
		a.access(unix.MOUNT_ATTR_STRICTATIME)
	case "atime", "relatime":
		// "atime" is the kernel's default, which is relatime, mount(8).
		a.access(unix.MOUNT_ATTR_RELATIME)
	case "nostrictatime":
		// The kernel's default too; it takes back strictatime, not noatime.
		if a.set&atime != unix.MOUNT_ATTR_NOATIME {
			a.access(unix.MOUNT_ATTR_RELATIME)
		}
	case "norelatime":
		// Of the other two values it chooses neither, and the kernel's default without it is relatime.
	default:
		return false
	}
	return true
}

// msFlags are the attributes as mount(2) has them, for a remount.
func (a *attributes) msFlags() uint64 {
	var f uint64
	for _, p := range [...][2]uint64{
		{unix.MOUNT_ATTR_RDONLY, unix.MS_RDONLY}, {unix.MOUNT_ATTR_NOSUID, unix.MS_NOSUID}, {unix.MOUNT_ATTR_NODEV, unix.MS_NODEV},
		{unix.MOUNT_ATTR_NOEXEC, unix.MS_NOEXEC}, {unix.MOUNT_ATTR_NOATIME, unix.MS_NOATIME}, {unix.MOUNT_ATTR_STRICTATIME, unix.MS_STRICTATIME},
		{unix.MOUNT_ATTR_NODIRATIME, unix.MS_NODIRATIME}, {unix.MOUNT_ATTR_NOSYMFOLLOW, unix.MS_NOSYMFOLLOW},
	} {
		if a.set&p[0] != 0 {
			f |= p[1]
		}
	}
	if a.relatime() {
		// Without any flag of this field a remount keeps what the mount has.
		f |= unix.MS_RELATIME
	}
	return f
}

// propagation returns the MS_* flags of a type of propagation, 0 for an unknown one.
func propagation(name string) uint64 {
	switch name {
	case "private":
		return unix.MS_PRIVATE
	case "rprivate":
		return unix.MS_PRIVATE | msRec
	case "shared":
		return unix.MS_SHARED
	case "rshared":
		return unix.MS_SHARED | msRec
	case "slave":
		return unix.MS_SLAVE
	case "rslave":
		return unix.MS_SLAVE | msRec
	case "unbindable":
		return unix.MS_UNBINDABLE
	case "runbindable":
		return unix.MS_UNBINDABLE | msRec
	}
	return 0
}

// fsOptions splits what the filesystem gets into single options: as one string
// for mount(2) they could be joined by commas in the config already, the
// kernel's descriptor-based calls take one at a time. A comma inside of quotes
// (security labels) or behind a backslash (overlayfs) belongs to the value.
func fsOptions(data []string) []string {
	joined := false
	for _, d := range data {
		joined = joined || strings.ContainsAny(d, `,"`)
	}
	if !joined {
		return data
	}
	var all []string
	for _, d := range data {
		for d != "" {
			n := optionEnd(d)
			if n > 0 {
				all = append(all, unquoteLabel(d[:n]))
			}
			d = strings.TrimPrefix(d[n:], ",")
		}
	}
	return all
}

func optionEnd(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			quoted = !quoted
		case ',':
			if !quoted {
				return i
			}
		}
	}
	return len(s)
}

// unquoteLabel takes the quotes from a label's option: they are the syntax of mount(2)'s string, not part of the value.
func unquoteLabel(opt string) string {
	switch key, value, _ := strings.Cut(opt, "="); key {
	case "context", "fscontext", "defcontext", "rootcontext":
		if label := strings.Trim(value, `"`); label != value {
			return key + "=" + label
		}
	}
	return opt
}

// fsconfigMax is the longest value that fsconfig(2) takes.
const fsconfigMax = 255

// fsOptions are the options as the filesystem gets them. overlayfs takes its
// layers one by one where all together would be too long (Linux 6.7); older
// kernels have mount(2) with its one page for all options.
func (c *compiler) fsOptions(fstype string, data []string) []string {
	options := fsOptions(data)
	if fstype != "overlay" || !c.in.Facts.OverlayAppends {
		return options
	}
	var all []string
	for _, opt := range options {
		key, layers, _ := strings.Cut(opt, "=")
		if key != "lowerdir" || len(layers) <= fsconfigMax {
			all = append(all, opt)
			continue
		}
		all = append(all, overlayLayers(layers)...)
	}
	return all
}

// overlayLayers splits lowerdir's value: layers are separated by a colon, those
// for data only, at the end, by two; a backslash takes a character as it is.
func overlayLayers(value string) []string {
	var all []string
	key, layer := "lowerdir+=", []byte(nil)
	end := func() {
		if len(layer) > 0 {
			all = append(all, key+string(layer))
		}
		layer = nil
	}
	for i := 0; i < len(value); i++ {
		switch {
		case value[i] == '\\' && i+1 < len(value):
			i++
			layer = append(layer, value[i])
		case value[i] == ':':
			end()
			if strings.HasPrefix(value[i:], "::") {
				key = "datadir+="
				i++
			}
		default:
			layer = append(layer, value[i])
		}
	}
	end()
	return all
}
