package seccomp

import (
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// maxArgs is the number of arguments that struct seccomp_data holds.
const maxArgs = 6

// profile is a linux.seccomp that has passed the checks of the specification.
type profile struct {
	defaultAction action
	archs         []specs.Arch
	rules         []rule
	flags         uint32
	notify        bool
	warnings      []string
}

// rule is an entry of syscalls, the one at that index.
type rule struct {
	index  int
	names  []string
	action action
	args   []specs.LinuxSeccompArg
	anyArg bool // the conditions are alternatives
}

func (r *rule) field(name string) string {
	return fmt.Sprintf("linux.seccomp.syscalls[%d]%s", r.index, name)
}

// names is the number of system calls that the rules name, with repetitions.
func (p *profile) names() (n int) {
	for i := range p.rules {
		n += len(p.rules[i].names)
	}
	return n
}

// parse checks a profile as far as that is possible without libseccomp.
func parse(cfg *specs.LinuxSeccomp) (*profile, error) {
	if cfg == nil {
		return nil, &FieldError{"linux.seccomp", errors.New("is not set")}
	}
	p := &profile{archs: cfg.Architectures, rules: make([]rule, 0, len(cfg.Syscalls))}
	var err error
	if p.defaultAction, err = parseDefault(cfg); err != nil {
		return nil, err
	}
	for i, a := range cfg.Architectures {
		if auditArch(a) == 0 {
			return nil, fieldErrorf(fmt.Sprintf("linux.seccomp.architectures[%d]", i), "%q is not an architecture; known are %v", a, archNames())
		}
	}
	for i := range cfg.Syscalls {
		r, err := parseRule(i, &cfg.Syscalls[i])
		if err != nil {
			return nil, err
		}
		if r.action == unix.SECCOMP_RET_USER_NOTIF {
			p.notify = true
		}
		if r.anyArg {
			p.warnings = append(p.warnings, r.field(".args")+": two conditions on one argument are alternatives, either of them is enough")
		}
		p.rules = append(p.rules, *r)
	}
	if err := checkListener(cfg, p.notify); err != nil {
		return nil, err
	}
	flags, warnings, err := parseFlags(cfg.Flags, p.notify)
	if err != nil {
		return nil, err
	}
	p.flags = flags
	p.warnings = append(p.warnings, warnings...)
	return p, nil
}

// parseDefault refuses NOTIFY, as [Filter.Notify] explains for write: a default
// of NOTIFY catches every system call of the handing over too.
func parseDefault(cfg *specs.LinuxSeccomp) (action, error) {
	a, culprit, err := parseAction(cfg.DefaultAction, cfg.DefaultErrnoRet)
	if err != nil {
		field := "linux.seccomp.defaultAction"
		if culprit == "errnoRet" {
			field = "linux.seccomp.defaultErrnoRet"
		}
		return 0, &FieldError{field, err}
	}
	if a == unix.SECCOMP_RET_USER_NOTIF {
		return 0, fieldErrorf("linux.seccomp.defaultAction", "SCMP_ACT_NOTIFY cannot be used as default action: it would stop the call that hands the listener over, before anyone listens")
	}
	return a, nil
}

func parseRule(i int, s *specs.LinuxSyscall) (*rule, error) {
	r := &rule{index: i, names: s.Names}
	if len(s.Names) == 0 {
		return nil, fieldErrorf(r.field(".names"), "must name at least one system call")
	}
	a, culprit, err := parseAction(s.Action, s.ErrnoRet)
	if err != nil {
		return nil, &FieldError{r.field("." + culprit), err}
	}
	r.action = a
	for n, name := range s.Names {
		// A C string ends at its first NUL: "read\x00x" would become a rule for read.
		if name == "" || strings.IndexByte(name, 0) >= 0 {
			return nil, fieldErrorf(r.field(fmt.Sprintf(".names[%d]", n)), "%q is not a valid syscall", name)
		}
		if a == unix.SECCOMP_RET_USER_NOTIF && name == "write" {
			return nil, fieldErrorf(r.field(".action"), "SCMP_ACT_NOTIFY cannot be used for the write syscall: the listener is handed over with it, before anyone listens")
		}
	}
	return r, r.addConditions(s.Args)
}

// addConditions leaves out those that always hold: a mask of zero. Among
// alternatives such a one leaves no condition at all.
func (r *rule) addConditions(args []specs.LinuxSeccompArg) error {
	var seen [maxArgs]bool
	always := false
	for n, arg := range args {
		if arg.Index >= maxArgs {
			return fieldErrorf(r.field(fmt.Sprintf(".args[%d].index", n)), "%d is out of range, system calls have arguments 0 to %d", arg.Index, maxArgs-1)
		}
		if !knownOperator(arg.Op) {
			return fieldErrorf(r.field(fmt.Sprintf(".args[%d].op", n)), "%q is not an operator; known are %v", arg.Op, operatorNames())
		}
		r.anyArg = r.anyArg || seen[arg.Index]
		seen[arg.Index] = true
		if arg.Op == specs.OpMaskedEqual && arg.Value == 0 {
			always = true
			continue
		}
		r.args = append(r.args, arg)
	}
	if always && r.anyArg {
		r.args = nil
	}
	return nil
}

// checkListener: metadata for nobody is an error of the specification. NOTIFY
// for nobody would make each such call fail with ENOSYS at best.
func checkListener(cfg *specs.LinuxSeccomp, notify bool) error {
	switch {
	case cfg.ListenerPath != "":
		return nil
	case cfg.ListenerMetadata != "":
		return fieldErrorf("linux.seccomp.listenerMetadata", "must not be set without listenerPath")
	case notify:
		return fieldErrorf("linux.seccomp.listenerPath", "must be set when SCMP_ACT_NOTIFY is used")
	}
	return nil
}
