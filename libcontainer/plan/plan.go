// Package plan compiles a container's configuration into the programs that
// the stage executes.
//
// It is pure: (spec, host facts) → programs. It makes no system call and reads
// no file, so that it can be tested and fuzzed without root, and so that
// `davit explain` shows exactly what `davit create` does. What has to be looked
// up on the host comes in as [Facts]; what has to be opened goes out as
// [FileRef]s, in the order of the stage's slots.
//
// The first program (see [Compile]) enters the namespaces and builds the
// container's world; the second (see [Plan.Process]) becomes its process. They
// are separate because the second needs what the first one finds out, such as
// the home directory in the container's /etc/passwd.
package plan

import (
	"fmt"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/cgroups"
	"davit/libcontainer/landlock"
	"davit/nsenter"
)

// Facts is what the compiler has to know about the host and the caller.
type Facts struct {
	EUID           int
	InUserNS       bool              // the caller is in a user namespace other than the initial one
	ForeignMounts  bool              // the caller's mount namespace belongs to another user namespace than his: he can't clone mounts
	Capabilities   uint64            // the caller's permitted set, which bounds a container without user namespace
	LastCap        uint64            // the highest capability that the kernel knows
	NoAmbient      bool              // the caller's securebits forbid to raise ambient capabilities; needed only where the config has some
	Cgroups        *cgroups.Layout   // nil where the container has no cgroup
	CgroupPaths    map[string]string // the container's cgroups by controller, "" for the unified hierarchy; absolute paths
	CallerCgroups  map[string]string // likewise those that the caller is in; needed only for a cgroup mount where the container has none
	IntoCgroup     bool              // the process is cloned into the container's unified cgroup
	RootfsMount    string            // the mount point that holds the rootfs; needed only for a shared rootfsPropagation
	OverlayAppends bool              // overlayfs takes its layers one by one
	SELinux        bool              // the kernel enforces or permits by SELinux
	LandlockABI    int               // the version of the kernel's Landlock, 0 without; needed only for the annotation
}

// Input is one container to be made.
type Input struct {
	ID           string
	Spec         *specs.Spec
	Bundle       string   // absolute; relative sources of bind mounts are below it
	Rootfs       string   // absolute
	NoPivot      bool     // move the root's mount instead of pivot_root(2): for a rootfs on ramfs
	NoNewKeyring bool     // keep the caller's session keyring
	Inherited    int      // descriptors 3, 4, … that the process inherits
	ExtraEnv     []string // added to the process's environment
	Park         bool     // wait on the exec FIFO for `start`; otherwise davit itself says when
	Facts        Facts
}

// FileKind says what a [FileRef] is.
type FileKind int

// Kinds of descriptors that a plan needs from davit.
const (
	Namespace     FileKind = iota // a namespace at Path, of type Type
	CgroupDir                     // the container's cgroup in the unified hierarchy
	ExecFifo                      // the exec FIFO, as a path descriptor
	InitPidfd                     // a pidfd of the container's init
	MountClone                    // a detached clone of the mount at Path, open_tree(2)
	UserNamespace                 // a user namespace with the mapping IDs
)

// FileRef is a descriptor that davit opens for a slot of the stage.
type FileRef struct {
	Kind      FileKind
	Path      string // for Namespace and MountClone
	Type      uint64 // for Namespace: its CLONE_NEW* flag
	Recursive bool   // for MountClone: with the mounts below it
	IDs       *IDMap // for UserNamespace, and for MountClone where ids are mapped
	MapTree   bool   // for MountClone: also those of the mounts below it
	Spread    uint64 // for MountClone: the MS_* propagation that it and those below it get, 0 for that of the source
	Field     string // the config field that names it
}

// Plan is a compiled container.
type Plan struct {
	World    nsenter.Program
	Files    []FileRef // what fills the slots of World, in order
	Mappings *Mappings // to be written when the process is cloned; then Release(Mapped)
	Joins    bool      // World waits for CgroupJoined
	Hooks    bool      // World waits for HooksRun
	Terminal bool      // World sends the master of a pseudo-terminal
	Passwd   bool      // World sends /etc/passwd
	// PrivatePID tells that the container has a PID namespace of its own, whose processes end with its init.
	PrivatePID bool
	Warnings   []*Warning // what the spec says to warn of

	in       *Input
	fifo     nsenter.Slot
	exec     bool             // the process joins a container that runs
	userns   bool             // the process is in another user namespace than the caller
	landlock *landlock.Policy // nil for none
}

// UserNamespace tells whether the process is in another user namespace than the caller.
func (p *Plan) UserNamespace() bool { return p.userns }

// Mappings are a new user namespace's, user_namespaces(7).
type Mappings struct {
	UIDs, GIDs []specs.LinuxIDMapping
}

// Error is a configuration that can't be compiled for this host.
type Error struct {
	Field  string // JSON path
	Reason string
	Hint   string // what to do about it, possibly empty
}

func (e *Error) Error() string {
	s := e.Field + ": " + e.Reason
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Warning is something that the container does without, as the spec allows.
type Warning struct {
	Field  string
	Reason string
}

func (w *Warning) String() string { return w.Field + ": " + w.Reason }

// Compile compiles the container's world.
func Compile(in *Input) (*Plan, error) {
	c := newCompiler(in)
	if err := c.refuse(); err != nil {
		return nil, err
	}
	for _, step := range []func() error{c.enter, c.identity, c.filesystems, c.finish} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return c.plan, nil
}

// compiler accumulates the world's program.
type compiler struct {
	in    *Input
	spec  *specs.Spec
	linux *specs.Linux
	plan  *Plan
	ns    namespaces

	hostTree bool                 // there is no mount namespace: nothing may be mounted
	ownsDev  bool                 // what is at /dev is the container's, not bound there
	context  string               // the mount option for linux.mountLabel
	unshared bool                 // the cgroup namespace is made
	ahead    map[int]nsenter.Slot // mounts that were made before the namespaces, by their index
	late     []nsenter.Instr      // what makes mounts read-only when nothing has to be made in them any more

	callersCgroups bool // a warning says that the caller's cgroups are read-only
}

func newCompiler(in *Input) *compiler {
	c := &compiler{in: in, spec: in.Spec, linux: in.Spec.Linux, plan: &Plan{in: in, fifo: nsenter.None}}
	if c.linux == nil {
		c.linux = &specs.Linux{}
	}
	c.plan.World = make(nsenter.Program, 0, 96)
	return c
}

func (c *compiler) add(field string, op nsenter.Op) {
	c.plan.World = append(c.plan.World, nsenter.Instr{Field: field, Op: op})
}

func (c *compiler) file(f FileRef) nsenter.Slot {
	c.plan.Files = append(c.plan.Files, f)
	return nsenter.Slot(len(c.plan.Files) - 1)
}

func fail(field, format string, a ...any) *Error {
	return &Error{Field: field, Reason: fmt.Sprintf(format, a...)}
}

// refuse names what davit can't do, and what this host can't give: nothing that
// the config asks for is dropped in silence.
func (c *compiler) refuse() error {
	switch {
	case c.spec.Root == nil:
		return fail("root", "is required")
	case c.linux.MountLabel != "" && !c.in.Facts.SELinux:
		return noSELinux("linux.mountLabel")
	}
	var err error
	c.context, err = contextOption(c.spec.Annotations)
	return err
}

func noSELinux(field string) *Error {
	return &Error{field, "SELinux is not enabled in this host's kernel", "remove the label, or boot with SELinux"}
}

// finish ends the world and makes way for the process.
func (c *compiler) finish() error {
	if err := c.plan.fitLandlock(); err != nil {
		return err
	}
	if c.in.Park {
		c.plan.fifo = c.file(FileRef{Kind: ExecFifo})
	}
	c.add("", nsenter.NextPlan{})
	return nil
}

// item is the JSON path of a list's entry, with the name that people know it by.
func item(list string, i int, name string) string {
	s := list + "[" + strconv.Itoa(i) + "]"
	if name == "" {
		return s
	}
	return s + " (" + visible(name) + ")"
}

// visible quotes a string of the config that could forge lines of a log.
func visible(s string) string {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return strconv.Quote(s)
		}
	}
	return s
}

func boolean(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// msRec is MS_REC as the number type of operands.
const msRec = uint64(unix.MS_REC)
