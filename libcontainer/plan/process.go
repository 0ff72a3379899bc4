package plan

import (
	"encoding/binary"
	"fmt"
	"path"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

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
	return nsenter.Program{{Op: nsenter.Session{}}, {Op: nsenter.ReportReady{}}, {Op: nsenter.Park{Fifo: p.fifo}}}
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
	b.program = make(nsenter.Program, 0, 32)
	b.add("", nsenter.Session{Terminal: boolean(b.proc.Terminal)})
	if err := b.attributes(); err != nil {
		return nil, err
	}
	if err := b.limits(); err != nil {
		return nil, err
	}
	if err := b.labels(); err != nil {
		return nil, err
	}
	seccomp := b.late.Seccomp
	if seccomp != nil && !b.proc.NoNewPrivileges {
		// Loading a filter takes CAP_SYS_ADMIN or no_new_privs, seccomp(2): without the latter it has to be now.
		b.seccomp()
	}
	b.credentials()
	if b.proc.NoNewPrivileges {
		b.add("process.noNewPrivileges", nsenter.NoNewPrivs{})
	}
	b.add("", nsenter.CloseFrom{First: uint64(3 + b.plan.in.PreserveFDs)})
	exec := b.exec()
	h := b.plan.in.Spec.Hooks
	if h == nil || len(h.StartContainer) == 0 {
		// A startContainer hook may still provide the program.
		b.add("process.args[0]", nsenter.LookUp{Paths: exec.Paths})
	}
	if seccomp != nil && b.proc.NoNewPrivileges && seccomp.Notify {
		b.seccomp() // davit has to fetch the listener before it lets go
	}
	b.add("", nsenter.ReportReady{})
	if b.plan.in.Park {
		b.add("", nsenter.Park{Fifo: b.plan.fifo})
	} else {
		b.add("", nsenter.Wait{Token: uint64(nsenter.TokenStart)})
	}
	if seccomp != nil && b.proc.NoNewPrivileges && !seccomp.Notify {
		b.seccomp() // as late as can be: only the exec itself has to pass
	}
	b.add("process.args", exec)
	return b.program, nil
}

func (b *process) seccomp() {
	b.add("linux.seccomp", nsenter.Seccomp{Filter: b.late.Seccomp.Filter, Flags: b.late.Seccomp.Flags})
}

// attributes are those that a process passes on and that need no privilege, or that of the caller.
func (b *process) attributes() error {
	linux := b.plan.in.Spec.Linux
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
		b.add(fmt.Sprintf("process.rlimits[%d] (%s)", i, l.Type), nsenter.Rlimit{Resource: r, Soft: l.Soft, Hard: l.Hard})
	}
	return nil
}

func (b *process) labels() error {
	if l := b.proc.SelinuxLabel; l != "" {
		if !b.plan.in.Facts.SELinux {
			return &Error{"process.selinuxLabel", "SELinux is not enabled in this host's kernel", "remove the label, or boot with SELinux"}
		}
		b.add("process.selinuxLabel", nsenter.Label{File: "exec", Value: l})
	}
	if a := b.proc.ApparmorProfile; a != "" && b.late.AppArmor.Value != "" {
		b.add("process.apparmorProfile", nsenter.Label{File: b.late.AppArmor.File, Value: b.late.AppArmor.Value})
	}
	return nil
}

// credentials compiles the change to the process's user with exactly the capabilities of the config.
func (b *process) credentials() {
	caps, warnings := capabilities(b.proc.Capabilities, b.available(), b.plan.in.Facts.LastCap)
	b.plan.Warnings = append(b.plan.Warnings, warnings...)
	b.add("process.capabilities.bounding", nsenter.Bounding{Keep: caps.bounding, Last: b.plan.in.Facts.LastCap})
	b.add("process.cwd", nsenter.Chdir{Path: b.proc.Cwd, MayFail: boolean(b.proc.User.UID != 0)})
	groups := make([]byte, 0, 4*len(b.proc.User.AdditionalGids))
	for _, g := range b.proc.User.AdditionalGids {
		groups = binary.NativeEndian.AppendUint32(groups, g)
	}
	user := nsenter.User{UID: uint64(b.proc.User.UID), GID: uint64(b.proc.User.GID), Groups: groups, SetGroups: 1}
	if b.plan.userns && len(groups) == 0 {
		user.SetGroups = 2
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
	env := b.proc.Env
	if lookupEnv(env, "HOME") == "" {
		home := b.late.Home
		if home == "" {
			home = "/"
		}
		kept := make([]string, 0, len(env)+1)
		for _, e := range env {
			if !strings.HasPrefix(e, "HOME=") {
				kept = append(kept, e)
			}
		}
		env = append(kept, "HOME="+home)
	}
	return nsenter.Exec{Paths: searchPath(b.proc.Args[0], env), Argv: b.proc.Args, Env: env}
}

// searchPath lists the files that execvp(3) would try, with the container's own PATH.
func searchPath(name string, env []string) []string {
	if strings.Contains(name, "/") {
		return []string{name}
	}
	dirs := lookupEnv(env, "PATH")
	if dirs == "" {
		return []string{name}
	}
	var paths []string
	for _, dir := range strings.Split(dirs, ":") {
		if dir == "" {
			dir = "." // an empty element is the current directory, environ(7)
		}
		paths = append(paths, path.Join(dir, name))
	}
	for i, p := range paths {
		if !strings.HasPrefix(p, "/") {
			paths[i] = "./" + p
		}
	}
	return paths
}
