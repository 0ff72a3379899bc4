package plan

import (
	"encoding/binary"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/nsenter"
)

// Late is what is known only when the world is built.
type Late struct {
	Home     string   // of the user, from the container's /etc/passwd
	Seccomp  *Seccomp // the compiled filter, nil for none
	AppArmor AppArmor // how the profile is written, where the config has one
}

// Seccomp is a compiled filter.
type Seccomp struct {
	Filter []byte // struct sock_filter[]
	Flags  uint64 // SECCOMP_FILTER_FLAG_*
	Notify bool   // it has a listener
}

// AppArmor is what the kernel takes to change the profile at exec.
type AppArmor struct {
	File  string // below /proc/self/attr
	Value string
}

// Process compiles the second program: from the finished world to the exec.
func (p *Plan) Process(late *Late) (nsenter.Program, error) {
	proc := p.in.Spec.Process
	if proc == nil {
		return nil, fail("process", "is required to start a container")
	}
	b := &process{plan: p, proc: proc, late: late}
	return b.compile()
}

// Idle is the second program of a container whose config has no process: it can
// be created, but start is an error (config.md, process).
func (p *Plan) Idle() nsenter.Program {
	return append(nsenter.Program{{Op: nsenter.Session{}}}, p.ready()...)
}

// ready ends what create does and waits for start.
func (p *Plan) ready() nsenter.Program {
	if p.in.Park {
		// The second report, over the FIFO, tells start apart from a death while it waited.
		return nsenter.Program{{Op: nsenter.ReportReady{}}, {Op: nsenter.Park{Fifo: p.fifo}}, {Op: nsenter.ReportReady{}}}
	}
	return nsenter.Program{{Op: nsenter.ReportReady{}}, {Op: nsenter.Wait{Token: uint64(nsenter.TokenStart)}}}
}

type process struct {
	plan    *Plan
	proc    *specs.Process
	late    *Late
	program nsenter.Program
}

func (b *process) add(field string, op nsenter.Op) {
	b.program = append(b.program, nsenter.Instr{Field: field, Op: op})
}

func (b *process) compile() (nsenter.Program, error) {
	if err := b.refuse(); err != nil {
		return nil, err
	}
	b.program = make(nsenter.Program, 0, 32)
	b.add("", nsenter.Session{Terminal: boolean(b.proc.Terminal)})
	// Early: of the calls from a filter on, as few as possible should be our own.
	b.add("", nsenter.CloseFrom{First: uint64(3 + b.plan.in.Inherited)})
	if err := b.attributes(); err != nil {
		return nil, err
	}
	b.labels()
	if err := b.limits(); err != nil {
		return nil, err
	}
	seccomp := b.late.Seccomp
	// Before a filter, which may forbid getcwd(2).
	b.add("process.cwd", nsenter.Chdir{Path: b.proc.Cwd, MayFail: boolean(b.proc.User.UID != 0)})
	b.ruleset()
	if !b.proc.NoNewPrivileges {
		// Both take CAP_SYS_ADMIN or no_new_privs, landlock(7), seccomp(2): without the latter it has to be now.
		b.restrict()
		if seccomp != nil {
			b.seccomp()
		}
	}
	b.credentials()
	if b.proc.NoNewPrivileges {
		b.add("process.noNewPrivileges", nsenter.NoNewPrivs{})
		b.restrict()
	}
	exec := b.exec()
	h := b.plan.in.Spec.Hooks
	if h == nil || len(h.StartContainer) == 0 {
		// A startContainer hook may still provide the program.
		b.add("process.args[0]", nsenter.LookUp{Paths: exec.Paths})
	}
	if seccomp != nil && b.proc.NoNewPrivileges && seccomp.Notify {
		if b.plan.in.Facts.EUID != 0 {
			b.add("linux.seccomp", nsenter.Dumpable{Value: 1}) // pidfd_getfd(2) asks an unprivileged caller for it
		}
		b.seccomp() // davit has to fetch the listener before it lets go
	}
	b.program = append(b.program, b.plan.ready()...)
	if seccomp != nil && b.proc.NoNewPrivileges && !seccomp.Notify {
		b.add("", nsenter.LetGo{}) // the filter may forbid close(2)
		b.seccomp()                // as late as can be: only the exec itself has to pass
	}
	b.add("process.args", exec)
	return b.program, nil
}

// refuse names what would be dropped otherwise.
func (b *process) refuse() error {
	linux := b.plan.in.Spec.Linux
	switch {
	case len(b.proc.Args) == 0:
		return fail("process.args", "must have at least one entry")
	case linux != nil && linux.Seccomp != nil && b.late.Seccomp == nil:
		return fail("linux.seccomp", "there is no filter compiled for it")
	case b.proc.ApparmorProfile != "" && b.late.AppArmor.Value == "":
		return fail("process.apparmorProfile", "there is no way to change to profile %q", b.proc.ApparmorProfile)
	case b.plan.landlock != nil && !b.proc.NoNewPrivileges && b.available()&(1<<unix.CAP_SYS_ADMIN) == 0:
		return &Error{landlockField, "Landlock takes CAP_SYS_ADMIN, which the caller lacks, or no_new_privs", "set process.noNewPrivileges"}
	case b.proc.SelinuxLabel != "" && !b.plan.in.Facts.SELinux:
		return noSELinux("process.selinuxLabel")
	}
	return nil
}

func (b *process) seccomp() {
	b.add("linux.seccomp", nsenter.Seccomp{Filter: b.late.Seccomp.Filter, Flags: b.late.Seccomp.Flags})
}

// attributes are those that a process passes on and that need no privilege, or that of the caller.
func (b *process) attributes() error {
	linux := b.plan.in.Spec.Linux
	if err := b.affinity(); err != nil {
		return err
	}
	if s := b.proc.Scheduler; s != nil {
		attr, err := schedAttr(s)
		if err != nil {
			return err
		}
		b.add("process.scheduler", nsenter.Scheduler{Attr: attr})
	}
	if p := b.proc.IOPriority; p != nil {
		v, err := ioPriority(p)
		if err != nil {
			return err
		}
		b.add("process.ioPriority", nsenter.IOPriority{Value: v})
	}
	if linux != nil && linux.MemoryPolicy != nil {
		op, err := memoryPolicy(linux.MemoryPolicy)
		if err != nil {
			return err
		}
		b.add("linux.memoryPolicy", op)
	}
	if linux != nil && linux.Personality != nil {
		d, err := personality(linux.Personality)
		if err != nil {
			return err
		}
		b.add("linux.personality", nsenter.Personality{Domain: d})
	}
	if u := b.proc.User.Umask; u != nil {
		b.add("process.user.umask", nsenter.Umask{Mask: uint64(*u)})
	} else {
		b.add("", nsenter.Umask{Inherit: 1})
	}
	return nil
}

func (b *process) limits() error {
	for i, l := range b.proc.Rlimits {
		r, err := rlimit(i, l.Type)
		if err != nil {
			return err
		}
		b.add(item("process.rlimits", i, l.Type), nsenter.Rlimit{Resource: r, Soft: l.Soft, Hard: l.Hard})
	}
	return nil
}

func (b *process) labels() {
	if l := b.proc.SelinuxLabel; l != "" {
		b.add("process.selinuxLabel", nsenter.Label{File: "exec", Value: l})
	}
	if b.proc.ApparmorProfile != "" {
		b.add("process.apparmorProfile", nsenter.Label{File: b.late.AppArmor.File, Value: b.late.AppArmor.Value})
	}
}

// credentials compiles the change to the process's user with exactly the capabilities of the config.
func (b *process) credentials() {
	caps, warnings := capabilities(b.proc.Capabilities, b.available(), b.plan.in.Facts.LastCap)
	if b.plan.in.Facts.NoAmbient && !b.plan.userns && caps.ambient != 0 { // a new user namespace has securebits of its own
		caps.ambient = 0
		warnings = append(warnings, &Warning{"process.capabilities.ambient", "ignored, because the caller's securebits forbid to raise any (SECBIT_NO_CAP_AMBIENT_RAISE, capabilities(7))"})
	}
	b.plan.Warnings = append(b.plan.Warnings, warnings...)
	b.add("process.capabilities.bounding", nsenter.Bounding{Keep: caps.bounding, Last: b.plan.in.Facts.LastCap})
	groups := make([]byte, 0, 4*len(b.proc.User.AdditionalGids))
	for _, g := range b.proc.User.AdditionalGids {
		groups = binary.NativeEndian.AppendUint32(groups, g)
	}
	user := nsenter.User{UID: uint64(b.proc.User.UID), GID: uint64(b.proc.User.GID), Groups: groups, SetGroups: 1}
	if (b.plan.userns || b.plan.in.Facts.InUserNS) && len(groups) == 0 {
		user.SetGroups = 2 // there may be none to drop, and no permission for it
	}
	if keepsGroups(b.plan.in.Spec.Annotations) {
		user.SetGroups, user.Groups = 0, nil
		if len(groups) > 0 {
			b.plan.Warnings = append(b.plan.Warnings, &Warning{"process.user.additionalGids", "ignored, because the annotation " + KeepGroups + " keeps the caller's groups"})
		}
	}
	b.add("process.user", user)
	b.add("process.capabilities", nsenter.Capabilities{Effective: caps.effective, Permitted: caps.permitted, Inheritable: caps.inheritable, Ambient: caps.ambient})
	if b.proc.User.UID != 0 {
		b.add("process.cwd", nsenter.Chdir{Path: b.proc.Cwd})
	}
}

// available are the capabilities that the process can have at all.
func (b *process) available() uint64 {
	if b.plan.userns {
		return ^uint64(0) // root of a user namespace has them all in it
	}
	return b.plan.in.Facts.Capabilities
}

func (b *process) exec() nsenter.Exec {
	env := environment(slices.Concat(b.proc.Env, b.plan.in.ExtraEnv), b.late.Home)
	return nsenter.Exec{Paths: searchPath(b.proc.Args[0], env), Argv: b.proc.Args, Env: env}
}
