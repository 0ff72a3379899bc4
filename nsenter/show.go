package nsenter

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Show says how the number of an operand is printed.
type Show uint8

const (
	ShowDec Show = iota
	ShowOctal
	ShowHex
	ShowClone
	ShowAttr
	ShowMSFlags
	ShowCapSet
	ShowDevice
	ShowToken
	ShowFile
	ShowBool
)

// Arg is an operand of an instruction.
type Arg struct {
	Name  string
	Value any // uint64, string, []string, []byte or Slot
	Show  Show
}

// String prints the operand as a person reads it; "" for one that isn't used.
func (a Arg) String() string {
	switch v := a.Value.(type) {
	case string:
		return v
	case []string:
		return strings.Join(v, ",")
	case []byte:
		if len(v) == 0 {
			return ""
		}
		return fmt.Sprintf("%d bytes", len(v))
	case Slot:
		if v == None {
			return ""
		}
		return "fd " + strconv.Itoa(int(v))
	case uint64:
		return a.number(v)
	}
	return ""
}

func (a Arg) number(v uint64) string {
	switch a.Show {
	case ShowOctal:
		return fmt.Sprintf("%#o", v)
	case ShowHex:
		return fmt.Sprintf("%#x", v)
	case ShowClone:
		return flagNames(v, cloneNames)
	case ShowAttr:
		return flagNames(v, attrNames)
	case ShowMSFlags:
		return flagNames(v, msNames)
	case ShowCapSet:
		return fmt.Sprintf("%#x", v)
	case ShowDevice:
		return fmt.Sprintf("%d:%d", v>>32, uint32(v))
	case ShowBool:
		if v == 0 {
			return ""
		}
		return "yes"
	case ShowToken:
		return Token(v).String()
	case ShowFile:
		return FileKind(v).String()
	}
	return strconv.FormatUint(v, 10)
}

type flagName struct {
	bit  uint64
	name string
}

func cloneNames() []flagName {
	return []flagName{{unix.CLONE_NEWUSER, "user"}, {unix.CLONE_NEWNS, "mount"}, {unix.CLONE_NEWPID, "pid"}, {unix.CLONE_NEWNET, "network"},
		{unix.CLONE_NEWIPC, "ipc"}, {unix.CLONE_NEWUTS, "uts"}, {unix.CLONE_NEWCGROUP, "cgroup"}, {unix.CLONE_NEWTIME, "time"}}
}

func attrNames() []flagName {
	return []flagName{{unix.MOUNT_ATTR_RDONLY, "ro"}, {unix.MOUNT_ATTR_NOSUID, "nosuid"}, {unix.MOUNT_ATTR_NODEV, "nodev"},
		{unix.MOUNT_ATTR_NOEXEC, "noexec"}, {unix.MOUNT_ATTR_NOATIME, "noatime"}, {unix.MOUNT_ATTR_STRICTATIME, "strictatime"},
		{unix.MOUNT_ATTR_NODIRATIME, "nodiratime"}, {unix.MOUNT_ATTR_NOSYMFOLLOW, "nosymfollow"}, {unix.MOUNT_ATTR_IDMAP, "idmap"}}
}

func msNames() []flagName {
	return []flagName{{unix.MS_RDONLY, "ro"}, {unix.MS_NOSUID, "nosuid"}, {unix.MS_NODEV, "nodev"}, {unix.MS_NOEXEC, "noexec"},
		{unix.MS_SYNCHRONOUS, "sync"}, {unix.MS_MANDLOCK, "mand"}, {unix.MS_DIRSYNC, "dirsync"}, {unix.MS_NOATIME, "noatime"},
		{unix.MS_NODIRATIME, "nodiratime"}, {unix.MS_BIND, "bind"}, {unix.MS_REC, "recursive"}, {unix.MS_SILENT, "silent"},
		{unix.MS_UNBINDABLE, "unbindable"}, {unix.MS_PRIVATE, "private"}, {unix.MS_SLAVE, "slave"}, {unix.MS_SHARED, "shared"},
		{unix.MS_RELATIME, "relatime"}, {unix.MS_I_VERSION, "iversion"}, {unix.MS_STRICTATIME, "strictatime"}, {unix.MS_LAZYTIME, "lazytime"}}
}

func flagNames(v uint64, table func() []flagName) string {
	var names []string
	for _, f := range table() {
		if v&f.bit != 0 {
			names = append(names, f.name)
			v &^= f.bit
		}
	}
	if v != 0 {
		names = append(names, fmt.Sprintf("%#x", v))
	}
	return strings.Join(names, "|")
}
