package bundle

import (
	"math"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// nsType is a namespace type as a bit of a set.
type nsType uint8

const (
	nsPID nsType = 1 << iota
	nsNetwork
	nsMount
	nsIPC
	nsUTS
	nsUser
	nsCgroup
	nsTime
)

func nsTypeOf(t specs.LinuxNamespaceType) (nsType, bool) {
	switch t {
	case specs.PIDNamespace:
		return nsPID, true
	case specs.NetworkNamespace:
		return nsNetwork, true
	case specs.MountNamespace:
		return nsMount, true
	case specs.IPCNamespace:
		return nsIPC, true
	case specs.UTSNamespace:
		return nsUTS, true
	case specs.UserNamespace:
		return nsUser, true
	case specs.CgroupNamespace:
		return nsCgroup, true
	case specs.TimeNamespace:
		return nsTime, true
	}
	return 0, false
}

// namespaceSet says where the container's namespaces come from. A type in
// neither set is the runtime's own.
type namespaceSet struct {
	created, joined nsType
}

// isolates reports whether a change inside the namespace leaves the runtime's
// alone.
func (s namespaceSet) isolates(t nsType) bool { return (s.created|s.joined)&t != 0 }

// creates reports whether the namespace is a new one.
func (s namespaceSet) creates(t nsType) bool { return s.created&t != 0 }

// namespaces checks linux.namespaces and the two things that only a namespace
// gives a meaning to: id mappings and time offsets.
func (c *checker) namespaces() {
	if c.spec.Linux == nil {
		return
	}
	linux := top.member("linux")
	list := linux.member("namespaces")
	var seen nsType
	var first [8]int
	for i, ns := range c.spec.Linux.Namespaces {
		at := list.at(i)
		t, ok := nsTypeOf(ns.Type)
		if !ok {
			c.unknownNamespace(at.member("type"), ns.Type)
			continue
		}
		if ns.Path != "" {
			c.absolute(at.member("path"), ns.Path)
		}
		if seen&t != 0 {
			c.failf(at.member("type"), "%q is in linux.namespaces[%d] already", ns.Type, first[bitIndex(t)])
			continue
		}
		seen |= t
		first[bitIndex(t)] = i
		switch {
		case ns.Path == "":
			c.ns.created |= t
		case !isOwnNamespace(ns.Path):
			c.ns.joined |= t
		}
	}
	c.idMappings(&linux, seen&nsUser != 0)
	c.timeOffsets(&linux, seen&nsTime != 0)
}

func bitIndex(t nsType) int {
	i := 0
	for t >>= 1; t != 0; t >>= 1 {
		i++
	}
	return i
}

func (c *checker) unknownNamespace(at path, t specs.LinuxNamespaceType) {
	if t == "" {
		c.fail(at, "must not be empty")
		return
	}
	e := c.failf(at, "%q is not a type of namespace", t)
	switch t {
	case "net":
		e.Hint = `use "network"`
	case "mnt":
		e.Hint = `use "mount"`
	default:
		e.Hint = "pid, network, mount, ipc, uts, user, cgroup or time"
	}
}

// isOwnNamespace recognizes the files that mean the runtime's own namespace on
// every host: joining it isolates nothing.
func isOwnNamespace(file string) bool {
	const self, thread = "/proc/self/ns/", "/proc/thread-self/ns/"
	return len(file) > len(self) && file[:len(self)] == self ||
		len(file) > len(thread) && file[:len(thread)] == thread
}

func (c *checker) idMappings(linux *path, hasUser bool) {
	l := c.spec.Linux
	uids, gids := linux.member("uidMappings"), linux.member("gidMappings")
	c.mappingList(&uids, l.UIDMappings)
	c.mappingList(&gids, l.GIDMappings)
	for _, m := range [...]struct {
		at  path
		len int
	}{{uids, len(l.UIDMappings)}, {gids, len(l.GIDMappings)}} {
		// A user namespace to join has its mappings; engines repeat them in
		// the configuration, which is fine.
		switch {
		case m.len != 0 && !hasUser:
			c.fail(m.at, "needs a user namespace").Hint = `add {"type": "user"} to linux.namespaces`
		case m.len == 0 && c.ns.creates(nsUser):
			c.fail(m.at, "a new user namespace needs at least one mapping").Hint =
				`map root at least: {"containerID": 0, "hostID": …, "size": 1}`
		}
	}
}

// maxMappings is UID_GID_MAP_MAX_EXTENTS, since Linux 4.15 (user_namespaces(7)).
const maxMappings = 340

// mappingList applies the rules by which the kernel takes a uid_map or gid_map
// (user_namespaces(7)).
func (c *checker) mappingList(at *path, list []specs.LinuxIDMapping) {
	if len(list) > maxMappings {
		c.failf(*at, "has %d entries, the kernel takes %d", len(list), maxMappings)
		return
	}
	for i, m := range list {
		entry := at.at(i)
		if m.Size == 0 {
			c.fail(entry.member("size"), "must be greater than zero")
			continue
		}
		// The last id of all, 4294967295, is no id: it means "unchanged".
		if room := math.MaxUint32 - max(m.ContainerID, m.HostID); m.Size > room {
			c.failf(entry.member("size"), "%d ids from %d on go beyond the last id, 4294967294",
				m.Size, max(m.ContainerID, m.HostID))
			continue
		}
		for j, other := range list[:i] {
			switch {
			case overlap(m.ContainerID, m.Size, other.ContainerID, other.Size):
				c.failf(entry.member("containerID"), "overlaps with the ids of entry %d", j)
			case overlap(m.HostID, m.Size, other.HostID, other.Size):
				c.failf(entry.member("hostID"), "overlaps with the ids of entry %d", j)
			}
		}
	}
}

func overlap(a, aSize, b, bSize uint32) bool {
	return uint64(a) < uint64(b)+uint64(bSize) && uint64(b) < uint64(a)+uint64(aSize)
}

func isMapped(list []specs.LinuxIDMapping, id uint32) bool {
	for _, m := range list {
		if id >= m.ContainerID && id-m.ContainerID < m.Size {
			return true
		}
	}
	return false
}

// The kernel refuses an offset that could ever bring a clock beyond half of
// KTIME_SEC_MAX, or below zero (time_namespaces(7), ERANGE).
const maxTimeOffset = math.MaxInt64 / 1_000_000_000 / 2

func (c *checker) timeOffsets(linux *path, hasTime bool) {
	offsets := c.spec.Linux.TimeOffsets
	if len(offsets) == 0 {
		return
	}
	at := linux.member("timeOffsets")
	switch {
	case !hasTime:
		c.fail(at, "needs a time namespace").Hint = `add {"type": "time"} to linux.namespaces`
	case !c.ns.creates(nsTime):
		c.fail(at, "the clocks of a time namespace that has processes can't be set").Hint =
			"leave the namespace's path out, or the offsets"
	}
	for _, clock := range sortedKeys(offsets) {
		entry, offset := at.key(clock), offsets[clock]
		if clock != "monotonic" && clock != "boottime" {
			c.fail(entry, "is not a clock with an offset").Hint = "monotonic or boottime"
		}
		if offset.Secs > maxTimeOffset || offset.Secs < -maxTimeOffset {
			c.failf(entry.member("secs"), "%d is beyond what the kernel takes, ±%d", offset.Secs, int64(maxTimeOffset))
		}
		if offset.Nanosecs >= 1_000_000_000 {
			c.failf(entry.member("nanosecs"), "must be less than 1000000000, it is %d", offset.Nanosecs)
		}
	}
}
