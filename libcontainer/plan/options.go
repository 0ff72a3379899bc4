package plan

import (
	"golang.org/x/sys/unix"
)

// mountOptions is what the options of one mount ask for. Attributes belong to
// the mount, super flags to the superblock; data is the filesystem's own.
type mountOptions struct {
	bind, recursive, remount, copyUp, idmap bool

	set, clear   uint64 // MOUNT_ATTR_* of the mount
	rset, rclear uint64 // MOUNT_ATTR_* of the whole tree
	super        uint64 // MS_* of the superblock
	propagation  uint64 // MS_*, 0 for none
	data         []string
	dataAt       int // index of the first of data
}

// atime marks attributes that are values of one field, not bits: setting one replaces the other.
const atime = unix.MOUNT_ATTR__ATIME

// parseOptions reads mounts[].options (runtime-spec, config.md, Linux mount options). Where two options
// contradict each other the later one wins, as in mount(8).
func parseOptions(options []string) mountOptions {
	var o mountOptions
	for i, opt := range options {
		if o.flag(opt) || o.attribute(opt) || o.propagate(opt) {
			continue
		}
		if o.data == nil {
			o.dataAt = i
		}
		o.data = append(o.data, opt)
	}
	return o
}

// flag takes the options that steer the mount itself and those of the superblock.
func (o *mountOptions) flag(opt string) bool {
	switch opt {
	case "defaults", "loud", "silent":
		// The kernel's messages come through the fs context, there is nothing to be silenced.
	case "bind":
		o.bind = true
	case "rbind":
		o.bind, o.recursive = true, true
	case "remount":
		o.remount = true
	case "tmpcopyup":
		o.copyUp = true
	case "idmap", "ridmap":
		o.idmap = true
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
		return false
	}
	return true
}

// attribute takes options such as nosuid and, with an r before it, for the whole tree, such as rnosuid.
func (o *mountOptions) attribute(opt string) bool {
	if o.setAttribute(opt, &o.set, &o.clear) {
		return true
	}
	// "ro", "rw" and "relatime" begin with an r of their own and were taken above.
	return len(opt) > 1 && opt[0] == 'r' && o.setAttribute(opt[1:], &o.rset, &o.rclear)
}

func (o *mountOptions) setAttribute(opt string, set, clear *uint64) bool {
	on := func(bit uint64) bool {
		*set |= bit
		*clear &^= bit
		return true
	}
	off := func(bit uint64) bool {
		*clear |= bit
		*set &^= bit
		return true
	}
	access := func(value uint64) bool {
		*set = *set&^atime | value
		*clear |= atime
		return true
	}
	switch opt {
	case "ro":
		return on(unix.MOUNT_ATTR_RDONLY)
	case "rw":
		return off(unix.MOUNT_ATTR_RDONLY)
	case "nosuid":
		return on(unix.MOUNT_ATTR_NOSUID)
	case "suid":
		return off(unix.MOUNT_ATTR_NOSUID)
	case "nodev":
		return on(unix.MOUNT_ATTR_NODEV)
	case "dev":
		return off(unix.MOUNT_ATTR_NODEV)
	case "noexec":
		return on(unix.MOUNT_ATTR_NOEXEC)
	case "exec":
		return off(unix.MOUNT_ATTR_NOEXEC)
	case "nodiratime":
		return on(unix.MOUNT_ATTR_NODIRATIME)
	case "diratime":
		return off(unix.MOUNT_ATTR_NODIRATIME)
	case "nosymfollow":
		return on(unix.MOUNT_ATTR_NOSYMFOLLOW)
	case "symfollow":
		return off(unix.MOUNT_ATTR_NOSYMFOLLOW)
	case "noatime":
		return access(unix.MOUNT_ATTR_NOATIME)
	case "strictatime":
		return access(unix.MOUNT_ATTR_STRICTATIME)
	case "atime", "relatime":
		return access(unix.MOUNT_ATTR_RELATIME)
	case "norelatime", "nostrictatime":
		// They take back an earlier option; a mount without any has the kernel's default, relatime.
		if opt == "nostrictatime" && *set&atime == unix.MOUNT_ATTR_STRICTATIME {
			*set &^= atime
		}
		return true
	}
	return false
}

func (o *mountOptions) propagate(opt string) bool {
	switch opt {
	case "private":
		o.propagation = unix.MS_PRIVATE
	case "rprivate":
		o.propagation = unix.MS_PRIVATE | unix.MS_REC
	case "shared":
		o.propagation = unix.MS_SHARED
	case "rshared":
		o.propagation = unix.MS_SHARED | unix.MS_REC
	case "slave":
		o.propagation = unix.MS_SLAVE
	case "rslave":
		o.propagation = unix.MS_SLAVE | unix.MS_REC
	case "unbindable":
		o.propagation = unix.MS_UNBINDABLE
	case "runbindable":
		o.propagation = unix.MS_UNBINDABLE | unix.MS_REC
	default:
		return false
	}
	return true
}

// merged are the attributes of a new mount, where own and recursive ones are the same.
func (o *mountOptions) merged() uint64 {
	return (o.set | o.rset) &^ (o.rclear &^ o.rset & ^uint64(atime))
}

// msFlags are the attributes as mount(2) has them, for a remount.
func msFlags(attr uint64) uint64 {
	var f uint64
	for _, p := range [...][2]uint64{
		{unix.MOUNT_ATTR_RDONLY, unix.MS_RDONLY}, {unix.MOUNT_ATTR_NOSUID, unix.MS_NOSUID}, {unix.MOUNT_ATTR_NODEV, unix.MS_NODEV},
		{unix.MOUNT_ATTR_NOEXEC, unix.MS_NOEXEC}, {unix.MOUNT_ATTR_NOATIME, unix.MS_NOATIME}, {unix.MOUNT_ATTR_STRICTATIME, unix.MS_STRICTATIME},
		{unix.MOUNT_ATTR_NODIRATIME, unix.MS_NODIRATIME}, {unix.MOUNT_ATTR_NOSYMFOLLOW, unix.MS_NOSYMFOLLOW},
	} {
		if attr&p[0] != 0 {
			f |= p[1]
		}
	}
	return f
}
