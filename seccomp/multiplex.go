package seccomp

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Multiplexed system calls
//
// On i386 and other architectures a program reaches socket(2) and its like, and
// those of System V IPC, through one number for all of them: socketcall(2) and
// ipc(2), whose first argument says which is meant. Later kernels (4.3 and 5.1)
// gave most of them numbers of their own too. So a rule for socket stands for
// both ways in:
//
//   - On the direct way its conditions are checked as on any call.
//   - The arguments of socketcall are in memory, out of a filter's sight, and
//     those of ipc partly so and in another order. There a rule without conditions
//     decides; where the rules have conditions, the strictest action that could
//     come of them does, the default action among them. "ALLOW socket unless it
//     is AF_ALG" so allows no socket through socketcall, and "ERRNO for AF_ALG"
//     gives an error for all of them.
//   - What the profile says of socketcall or ipc itself comes before that.
//
// libseccomp drops a condition on the first argument instead, and compares the
// others with the registers of socketcall: with it the first of these examples
// lets AF_ALG through (CVE-2026-31431 was reachable so). With many such rules
// libseccomp 2.5.4 doesn't come to an end.

// multiplexer is a system call that stands for others.
type multiplexer struct {
	name string
	// mask is what the kernel looks at in the first argument: an int for
	// socketcall, whatever the register's other half holds, and for ipc the lower
	// 16 bits, above which is a version.
	mask  uint64
	calls []multiplexed
}

type multiplexed struct {
	name string
	call uint64
}

// multiplexers follow linux/net.h and linux/ipc.h.
func multiplexers() []multiplexer {
	return []multiplexer{
		{"socketcall", 0xffffffff, []multiplexed{
			{"socket", 1}, {"bind", 2}, {"connect", 3}, {"listen", 4}, {"accept", 5}, {"getsockname", 6}, {"getpeername", 7},
			{"socketpair", 8}, {"send", 9}, {"recv", 10}, {"sendto", 11}, {"recvfrom", 12}, {"shutdown", 13},
			{"setsockopt", 14}, {"getsockopt", 15}, {"sendmsg", 16}, {"recvmsg", 17}, {"accept4", 18}, {"recvmmsg", 19}, {"sendmmsg", 20},
		}},
		{"ipc", 0xffff, []multiplexed{
			{"semop", 1}, {"semget", 2}, {"semctl", 3}, {"semtimedop", 4}, {"msgsnd", 11}, {"msgrcv", 12}, {"msgget", 13},
			{"msgctl", 14}, {"shmat", 21}, {"shmdt", 22}, {"shmget", 23}, {"shmctl", 24},
		}},
	}
}

func multiplexes(name string) bool { return name == "socketcall" || name == "ipc" }

// decide returns the decision about the multiplexer itself, and which of its
// calls have conditions that it can't see.
func (m *multiplexer) decide(d *decider) (result *decision, unseen []string, err error) {
	own, err := d.decide(m.name)
	if err != nil {
		return nil, nil, err
	}
	if own.action != d.p.defaultAction {
		return own, nil, nil
	}
	result = &decision{rules: own.rules[:len(own.rules):len(own.rules)], action: own.action}
	for _, c := range m.calls {
		said, err := d.decide(c.name)
		if err != nil {
			return nil, nil, err
		}
		if len(said.rules) > 0 {
			unseen = append(unseen, c.name)
		}
		if a := said.strictest(); a != result.action {
			this := specs.LinuxSeccompArg{Op: specs.OpMaskedEqual, Value: m.mask, ValueTwo: c.call}
			result.rules = append(result.rules, conditional{a, []specs.LinuxSeccompArg{this}})
		}
	}
	return result, unseen, nil
}

// mentioned: the profile names one of the calls, for whatever action.
func (m *multiplexer) mentioned(d *decider) bool {
	if len(d.entries[m.name]) > 0 {
		return true
	}
	for _, c := range m.calls {
		if len(d.entries[c.name]) > 0 {
			return true
		}
	}
	return false
}

func (m *multiplexer) warning(a specs.Arch, unseen []string) string {
	return fmt.Sprintf("linux.seccomp.syscalls: the conditions on %q can't be checked behind %s of %s; the strictest of their actions is taken there", unseen, m.name, a)
}
