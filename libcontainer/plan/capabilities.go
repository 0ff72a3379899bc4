package plan

import (
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// capabilityNames are in the order of their numbers, capability.h.
func capabilityNames() []string {
	return []string{
		"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
		"NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT",
		"SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE",
		"AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ",
		"PERFMON", "BPF", "CHECKPOINT_RESTORE",
	}
}

// Capabilities lists the capabilities that davit knows, as the config names them.
func Capabilities() []string {
	names := capabilityNames()
	for i, n := range names {
		names[i] = "CAP_" + n
	}
	return names
}

type capabilitySets struct{ bounding, effective, permitted, inheritable, ambient uint64 }

// capabilities maps the config's sets to what the process can have. What the
// kernel doesn't know or the caller can't grant is left out with a warning, as
// the spec asks (config.md, process.capabilities); an absent section means none.
func capabilities(cfg *specs.LinuxCapabilities, available, last uint64) (capabilitySets, []*Warning) {
	var s capabilitySets
	if cfg == nil {
		return s, nil
	}
	if last < 63 {
		available &= 1<<(last+1) - 1
	}
	m := capabilityMapper{names: capabilityNames(), available: available}
	s.bounding = m.mask("bounding", cfg.Bounding)
	s.permitted = m.mask("permitted", cfg.Permitted)
	s.inheritable = m.mask("inheritable", cfg.Inheritable)
	s.effective = m.mask("effective", cfg.Effective)
	s.ambient = m.mask("ambient", cfg.Ambient)
	// What capabilities(7) demands of the sets among each other; capset(2) takes no inheritable one beyond the bounding set.
	s.inheritable = m.within("inheritable", s.inheritable, s.bounding, "bounding")
	s.effective = m.within("effective", s.effective, s.permitted, "permitted")
	s.ambient = m.within("ambient", s.ambient, s.permitted&s.inheritable, "permitted and inheritable")
	return s, m.warnings
}

type capabilityMapper struct {
	names     []string
	available uint64
	warnings  []*Warning
}

func (m *capabilityMapper) warn(set, format string, a ...any) {
	m.warnings = append(m.warnings, &Warning{"process.capabilities." + set, fmt.Sprintf(format, a...)})
}

func (m *capabilityMapper) mask(set string, list []string) uint64 {
	var mask uint64
	var unknown, denied []string
	for _, name := range list {
		n := m.number(name)
		switch {
		case n < 0:
			unknown = append(unknown, name)
		case m.available>>n&1 == 0:
			denied = append(denied, name)
		default:
			mask |= 1 << n
		}
	}
	if len(unknown) > 0 {
		m.warn(set, "unknown and ignored: %q", unknown)
	}
	if len(denied) > 0 {
		m.warn(set, "%s can't be granted by this caller and ignored", strings.Join(denied, ", "))
	}
	return mask
}

func (m *capabilityMapper) number(name string) int {
	short := strings.TrimPrefix(strings.ToUpper(name), "CAP_")
	for i, n := range m.names {
		if n == short {
			return i
		}
	}
	return -1
}

func (m *capabilityMapper) within(set string, have, limit uint64, of string) uint64 {
	var lost []string
	for i, name := range m.names {
		if have&^limit>>i&1 != 0 {
			lost = append(lost, "CAP_"+name)
		}
	}
	if len(lost) > 0 {
		m.warn(set, "%s ignored because not in %s", strings.Join(lost, ", "), of)
	}
	return have & limit
}
