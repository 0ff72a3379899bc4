package seccomp

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// abi is an architecture for the model: numbers from the kernel's own tables,
// of calls that meet each other in one way or another. None comes from libseccomp.
type abi struct {
	arch   specs.Arch
	audit  uint32
	narrow bool
	calls  map[string]uint32
	statx  uint32
	first  uint32 // x32Bit for x32
}

func abis() []abi {
	return []abi{
		{specs.ArchX86_64, unix.AUDIT_ARCH_X86_64, false, map[string]uint32{
			"read": 0, "write": 1, "close": 3, "ioctl": 16, "shmget": 29, "shmat": 30, "getpid": 39, "socket": 41, "connect": 42, "accept": 43, "sendto": 44,
			"setsockopt": 54, "clone": 56, "semop": 65, "msgsnd": 69, "personality": 135, "mount": 165, "semtimedop": 220, "unshare": 272, "accept4": 288, "openat2": 437,
		}, 332, 0},
		{specs.ArchX86, unix.AUDIT_ARCH_I386, true, map[string]uint32{
			"read": 3, "write": 4, "close": 6, "getpid": 20, "mount": 21, "ioctl": 54, "socketcall": 102, "ipc": 117, "clone": 120, "personality": 136, "unshare": 310,
			"socket": 359, "connect": 362, "accept4": 364, "setsockopt": 366, "sendto": 369, "shmget": 395, "shmat": 397, "msgsnd": 400, "openat2": 437,
		}, 383, 0},
		{specs.ArchX32, unix.AUDIT_ARCH_X86_64, true, map[string]uint32{
			"read": 0, "write": 1, "close": 3, "ioctl": 514, "shmget": 29, "shmat": 30, "getpid": 39, "socket": 41, "connect": 42, "accept": 43, "sendto": 44,
			"setsockopt": 541, "clone": 56, "semop": 65, "msgsnd": 69, "personality": 135, "mount": 165, "semtimedop": 220, "unshare": 272, "accept4": 288, "openat2": 437,
		}, 332, x32Bit},
		{specs.ArchAARCH64, unix.AUDIT_ARCH_AARCH64, false, map[string]uint32{
			"ioctl": 29, "mount": 40, "close": 57, "read": 63, "write": 64, "personality": 92, "unshare": 97, "getpid": 172, "msgsnd": 189, "semtimedop": 192, "semop": 193,
			"shmget": 194, "shmat": 196, "socket": 198, "accept": 202, "connect": 203, "sendto": 206, "setsockopt": 208, "clone": 220, "accept4": 242, "openat2": 437,
		}, 291, 0},
		{specs.ArchARM, unix.AUDIT_ARCH_ARM, true, map[string]uint32{
			"read": 3, "write": 4, "close": 6, "getpid": 20, "mount": 21, "ioctl": 54, "clone": 120, "personality": 136, "socket": 281, "connect": 283, "accept": 285, "sendto": 290,
			"setsockopt": 294, "semop": 298, "msgsnd": 301, "shmat": 305, "shmget": 307, "semtimedop": 312, "unshare": 337, "accept4": 366, "openat2": 437,
		}, 397, 0},
		{specs.ArchMIPSEL, unix.AUDIT_ARCH_MIPSEL, true, map[string]uint32{
			"read": 4003, "write": 4004, "close": 4006, "getpid": 4020, "mount": 4021, "ioctl": 4054, "socketcall": 4102, "ipc": 4117, "clone": 4120, "personality": 4136,
			"accept": 4168, "connect": 4170, "sendto": 4180, "setsockopt": 4181, "socket": 4183, "unshare": 4303, "accept4": 4334, "shmget": 4395, "shmat": 4397, "msgsnd": 4400, "openat2": 4437,
		}, 4366, 0},
		{specs.ArchPPC64LE, unix.AUDIT_ARCH_PPC64LE, false, map[string]uint32{
			"read": 3, "write": 4, "close": 6, "getpid": 20, "mount": 21, "ioctl": 54, "socketcall": 102, "ipc": 117, "clone": 120, "personality": 136, "unshare": 282,
			"socket": 326, "connect": 328, "accept": 330, "sendto": 335, "setsockopt": 339, "accept4": 344, "semtimedop": 392, "shmget": 395, "shmat": 397, "msgsnd": 400, "openat2": 437,
		}, 383, 0},
		{specs.ArchRISCV64, unix.AUDIT_ARCH_RISCV64, false, map[string]uint32{
			"ioctl": 29, "mount": 40, "close": 57, "read": 63, "write": 64, "personality": 92, "unshare": 97, "getpid": 172, "msgsnd": 189, "semtimedop": 192, "semop": 193,
			"shmget": 194, "shmat": 196, "socket": 198, "accept": 202, "connect": 203, "sendto": 206, "setsockopt": 208, "clone": 220, "accept4": 242, "openat2": 437,
		}, 291, 0},
	}
}

// behind says which call the kernel makes of a multiplexer's first argument.
func behind(multiplexer string, first uint64) string {
	if multiplexer == "socketcall" {
		switch int32(first) {
		case 1:
			return "socket"
		case 3:
			return "connect"
		case 5:
			return "accept"
		case 11:
			return "sendto"
		case 14:
			return "setsockopt"
		case 18:
			return "accept4"
		}
		return ""
	}
	switch uint16(first) {
	case 1:
		return "semop"
	case 4:
		return "semtimedop"
	case 11:
		return "msgsnd"
	case 21:
		return "shmat"
	case 23:
		return "shmget"
	}
	return ""
}

// reaches: there is a multiplexer with the call behind it.
func (b *abi) reaches(name string) bool {
	for n := range uint64(26) {
		for _, m := range []string{"socketcall", "ipc"} {
			if _, ok := b.calls[m]; ok && behind(m, n) == name {
				return true
			}
		}
	}
	return false
}

func holds(a specs.LinuxSeccompArg, v uint64) bool {
	switch a.Op {
	case specs.OpNotEqual:
		return v != a.Value
	case specs.OpLessThan:
		return v < a.Value
	case specs.OpLessEqual:
		return v <= a.Value
	case specs.OpEqualTo:
		return v == a.Value
	case specs.OpGreaterEqual:
		return v >= a.Value
	case specs.OpGreaterThan:
		return v > a.Value
	}
	return v&a.Value == a.ValueTwo&a.Value // seccomp_rule_add(3): the masked datum
}

// holdsOn: 32-bit kernels see the lower half of a register. A condition that a
// negative number was meant for is asked with that number of 32 bits.
func (b *abi) holdsOn(a specs.LinuxSeccompArg, v uint64) bool {
	if !b.narrow {
		return holds(a, v)
	}
	isNegative := func(v uint64) bool { return int64(v) < 0 && int64(v) == int64(int32(v)) }
	if a.Op == specs.OpMaskedEqual {
		if want := a.Value & a.ValueTwo; isNegative(want) && a.Value>>32 == 0xffffffff {
			a.Value, a.ValueTwo = a.Value&0xffffffff, want&0xffffffff
		}
	} else if isNegative(a.Value) {
		a.Value &= 0xffffffff
	}
	return holds(a, v&0xffffffff)
}

// said is what the rules say of a name: of those without conditions the first,
// else of those that hold the one with the fewest. all are the actions of every
// rule with conditions, for where nobody can tell which hold.
func (b *abi) said(p *profile, name string, args *[maxArgs]uint64) (a action, decided, open bool, all []action) {
	best := maxArgs + 1
	for i := range p.rules {
		r := &p.rules[i]
		if !slices.Contains(r.names, name) || r.action == p.defaultAction {
			continue
		}
		if len(r.args) == 0 {
			return r.action, true, false, nil
		}
	}
	for i := range p.rules {
		r := &p.rules[i]
		if !slices.Contains(r.names, name) || r.action == p.defaultAction {
			continue
		}
		all = append(all, r.action)
		every, some := true, false
		for _, arg := range r.args {
			h := b.holdsOn(arg, args[arg.Index])
			every, some = every && h, some || h
		}
		n := len(r.args)
		if r.anyArg {
			every, n = some, 1
		}
		if every && n < best {
			a, decided, open, best = r.action, true, true, n
		}
	}
	return a, decided, open, all
}

// expected is the meaning of a profile as the package documentation has it.
func (b *abi) expected(p *profile, c call) action {
	name := ""
	for n, nr := range b.calls {
		if nr == c.nr&^b.first {
			name = n
		}
	}
	if name != "" {
		if a, decided, _, _ := b.said(p, name, &c.args); decided {
			return a
		}
	}
	if name == "socketcall" || name == "ipc" {
		if member := behind(name, c.args[0]); member != "" {
			a, decided, open, all := b.said(p, member, &[maxArgs]uint64{})
			if decided && !open {
				return a
			}
			worst := p.defaultAction
			for _, a := range all {
				if severity(a) > severity(worst) {
					worst = a
				}
			}
			return worst
		}
	}
	last, mentioned := b.statx, false
	for i := range p.rules {
		for _, name := range p.rules[i].names {
			nr, ok := b.calls[name]
			if ok && (b.arch != specs.ArchX32 || nr < 512) {
				last = max(last, nr)
			}
			mentioned = mentioned || ok || b.reaches(name)
		}
	}
	nr := c.nr &^ b.first
	if mentioned && p.deniesUnknown() && nr > last && !(b.arch == specs.ArchX32 && nr >= 512 && nr < 548) {
		return young
	}
	return p.defaultAction
}

// severity is the order of seccomp(2), "the highest precedence" first.
func severity(a action) int {
	order := []action{unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_LOG, unix.SECCOMP_RET_TRACE, unix.SECCOMP_RET_USER_NOTIF, unix.SECCOMP_RET_ERRNO,
		unix.SECCOMP_RET_TRAP, unix.SECCOMP_RET_KILL_THREAD, unix.SECCOMP_RET_KILL_PROCESS}
	return slices.Index(order, action(a.kind()))
}
