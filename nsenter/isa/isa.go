// Package isa defines davit's instruction set: every operation that a plan can
// ask of the stage, with its operands.
//
// It is the one place where instructions are written down. The C header that
// the stage decodes with (stage/isa_gen.h) and the Go types that the compiler
// builds plans from (ops_gen.go) are both generated from it by go generate, so
// the two sides of the wire can't disagree.
package isa

//go:generate go run ./gen

// Kind says how an operand travels and how the decoder checks it.
type Kind uint8

const (
	Num  Kind = iota // a 64-bit number
	Str              // a NUL-terminated string of the pool; "" when absent
	List             // strings of the pool, one after the other
	Blob             // bytes of the pool, aligned to 8
	Slot             // an index into the stage's table of descriptors, or none
)

// Show says how `davit explain` prints a number.
type Show uint8

const (
	Dec     Show = iota // 42
	Octal               // 0755
	Hex                 // 0x2a
	Clone               // CLONE_NEWNS|…
	Attr                // MOUNT_ATTR_*
	MSFlags             // MS_*
	CapSet              // a set of capabilities
	Device              // major:minor
	TokenOf             // a Token by name
	FileOf              // a FileKind by name
	Bool                // yes, or nothing
)

// Arg is one operand of an instruction.
type Arg struct {
	Name string // the Go field's name; its lower-case form is the operand's name in `davit explain`
	Kind Kind
	Show Show
}

// Op is one instruction.
type Op struct {
	Name string // the Go type's name
	Word string // the name in `davit explain` and in errors
	Doc  string // what the stage does, for the Go doc comment
	Args []Arg  // at most MaxArgs
}

// What both sides of the wire have to agree on besides the instructions.
const (
	MaxArgs    = 11   // operands of one instruction; the format has room for exactly these
	Slots      = 250  // descriptors that one container can be built with; one message carries at most 253, unix(7)
	CallSize   = 64   // bytes of a report: the call that failed
	DetailSize = 480  // what is said about it besides
	PathSize   = 512  // the path of a failed exec
	HeadSize   = 2048 // the beginning of that file
)

// Wire lists these numbers, with the names that C has for them.
var Wire = []struct {
	Name, C string
	Value   int
}{
	{"maxArgs", "MAX_ARGS", MaxArgs}, {"slots", "SLOTS", Slots}, {"callSize", "CALL_SIZE", CallSize}, {"detailSize", "DETAIL_SIZE", DetailSize},
	{"pathSize", "PATH_SIZE", PathSize}, {"headSize", "HEAD_SIZE", HeadSize},
}

// Ops lists the instructions in the order of their codes. Code 0 is never
// valid, so that a zeroed plan is refused.
var Ops = []Op{
	// Entering: executed by the process that davit spawned.
	{"OOMScore", "oom-score", "writes /proc/self/oom_score_adj, inherited by the container (proc(5)).",
		[]Arg{{"Value", Str, Dec}}},
	{"RaiseLimit", "raise-limit", "raises a hard limit to at least Hard while the stage still has the caller's privileges; the soft limit stays.",
		[]Arg{{"Resource", Num, Dec}, {"Hard", Num, Dec}}},
	{"Join", "join", "enters existing namespaces by setns(2): Fd is a namespace of type Type, or a pidfd and Type a set of types.",
		[]Arg{{"Fd", Slot, Dec}, {"Type", Num, Clone}}},
	{"Clone", "clone", "creates the container's process by clone3(2) with new namespaces Flags, as davit's own child (CLONE_PARENT), inside the cgroup v2 directory Cgroup if there is one. What follows is executed by the child.",
		[]Arg{{"Flags", Num, Clone}, {"Cgroup", Slot, Dec}}},
	{"Dumpable", "dumpable", "sets PR_SET_DUMPABLE. An unprivileged caller can write the uid_map of a dumpable process only.",
		[]Arg{{"Value", Num, Dec}}},
	{"Wait", "wait", "waits until davit has done its part named Token.",
		[]Arg{{"Token", Num, TokenOf}}},
	{"Sync", "sync", "tells davit that the stage is here and waits until it has done its part named Token.",
		[]Arg{{"Token", Num, TokenOf}}},
	{"BecomeRoot", "become-root", "takes user and group 0 of the user namespace, so that what the stage makes belongs to the container's root. Groups says whether the additional groups are dropped: 0 no, 1 yes, 2 if the namespace allows it.",
		[]Arg{{"Groups", Num, Dec}}},
	{"Unshare", "unshare", "moves into new namespaces by unshare(2): those whose content depends on what happened since the clone (the cgroup namespace is rooted where the process is).",
		[]Arg{{"Flags", Num, Clone}}},
	{"TimeNamespace", "time-namespace", "creates a time namespace, sets its offsets (time_namespaces(7)) and enters it.",
		[]Arg{{"Offsets", Str, Dec}}},
	{"Keyring", "keyring", "joins a session keyring of the container's own, so that the caller's keys stay out of reach (session-keyring(7)). Label is its SELinux label.",
		[]Arg{{"Name", Str, Dec}, {"Label", Str, Dec}}},

	// The container's world.
	{"Propagation", "propagation", "sets the propagation of the mount at Path of the host's tree (mount(2)).",
		[]Arg{{"Path", Str, Dec}, {"Flags", Num, MSFlags}}},
	{"Rootfs", "rootfs", "opens the rootfs; paths of the container are resolved below it from here on. With Clone its mounts are cloned (recursively) and the clone attached over it, as pivot_root(2) demands.",
		[]Arg{{"Path", Str, Dec}, {"Clone", Num, Bool}}},
	{"OwnFiles", "own-files", "keeps, of the caller's procfs, the directory of the process's own descriptors alone, by which Park reaches the FIFO. What waits in a PID namespace of others then has nothing open that leads to the host.", nil},
	{"Mount", "mount", "makes a new mount by fsopen(2)/fsmount(2) and attaches it to Target. Attr are MOUNT_ATTR_* flags, Super MS_* flags of the superblock, Propagation MS_* flags. Keep says what a new tmpfs takes over from a directory that it hides: 1 its mode, 2 its owner, 4 its content. Label is the SELinux label of its root.",
		[]Arg{{"Target", Str, Dec}, {"Type", Str, Dec}, {"Source", Str, Dec}, {"Options", List, Dec}, {"Attr", Num, Attr},
			{"Super", Num, MSFlags}, {"Propagation", Num, MSFlags}, {"NoSymlinks", Num, Bool}, {"Keep", Num, Dec}, {"Label", Str, Dec}}},
	{"MountIDMapped", "mount-idmapped", "makes a new mount as Mount does and maps its ids as those of the user namespace Fd are (mount_setattr(2)). It isn't attached; it takes that slot, for a Bind.",
		[]Arg{{"Fd", Slot, Dec}, {"Type", Str, Dec}, {"Source", Str, Dec}, {"Options", List, Dec}, {"Attr", Num, Attr}, {"Super", Num, MSFlags}}},
	{"Bind", "bind", "clones the mount at Source of the host's tree, or takes the clone Fd that davit made where there is no Source or it can't be cloned in the container's namespaces, sets and clears attributes and attaches it to Target. RSet and RClear apply to the whole tree. What is attached to / is the root from then on.",
		[]Arg{{"Target", Str, Dec}, {"Source", Str, Dec}, {"Fd", Slot, Dec}, {"Recursive", Num, Bool}, {"Set", Num, Attr}, {"Clear", Num, Attr},
			{"RSet", Num, Attr}, {"RClear", Num, Attr}, {"Propagation", Num, MSFlags}, {"NoSymlinks", Num, Bool}}},
	{"Remount", "remount", "changes the mount that is at Target already (MS_REMOUNT, mount(2)).",
		[]Arg{{"Target", Str, Dec}, {"Flags", Num, MSFlags}, {"Data", Str, Dec}, {"Propagation", Num, MSFlags}}},
	{"Mkdir", "mkdir", "makes a directory and its parents where they are missing.",
		[]Arg{{"Path", Str, Dec}, {"Mode", Num, Octal}}},
	{"Mknod", "mknod", "makes a device node or FIFO; one that exists must match.",
		[]Arg{{"Path", Str, Dec}, {"Mode", Num, Octal}, {"Device", Num, Device}, {"UID", Num, Dec}, {"GID", Num, Dec}}},
	{"BindDevice", "bind-device", "binds the host's device node Source to Path, where user namespaces don't allow mknod(2).",
		[]Arg{{"Path", Str, Dec}, {"Source", Str, Dec}, {"Mode", Num, Octal}, {"Device", Num, Device}}},
	{"Symlink", "symlink", "makes a symbolic link; Replace removes what is in its place, otherwise an existing file stays.",
		[]Arg{{"Path", Str, Dec}, {"To", Str, Dec}, {"Replace", Num, Bool}}},
	{"Pty", "pty", "allocates a pseudo-terminal on the container's own devpts, sends its master to davit and, with Console, mounts its other end on /dev/console.",
		[]Arg{{"Rows", Num, Dec}, {"Columns", Num, Dec}, {"Console", Num, Bool}, {"UID", Num, Dec}}},
	{"SendFile", "send-file", "opens a regular file of the container for davit to read; a missing file is reported as absent.",
		[]Arg{{"Path", Str, Dec}, {"Kind", Num, FileOf}}},
	{"Hostname", "hostname", "sets the host name (sethostname(2)).",
		[]Arg{{"Name", Str, Dec}}},
	{"Domainname", "domainname", "sets the NIS domain name (setdomainname(2)).",
		[]Arg{{"Name", Str, Dec}}},
	{"Loopback", "loopback", "brings up the loopback device of a new network namespace.", nil},
	{"Sysctl", "sysctl", "writes a namespaced kernel parameter (sysctl(5)) through the stage's own procfs.",
		[]Arg{{"Path", Str, Dec}, {"Value", Str, Dec}}},
	{"Mask", "mask", "hides a path of the container: a file under /dev/null, a directory under an empty read-only tmpfs. A missing path is left alone.",
		[]Arg{{"Path", Str, Dec}, {"Label", Str, Dec}}},
	{"ReadOnly", "read-only", "makes a path of the container read-only by a mount of its own; what is mounted below it stays as it is. A missing path is left alone.",
		[]Arg{{"Path", Str, Dec}}},
	{"RootAttr", "root-attr", "sets attributes on the rootfs's own mount.",
		[]Arg{{"Set", Num, Attr}}},
	{"Pivot", "pivot", "makes the rootfs the root directory: pivot_root(2) and the old root unmounted, or, where NoPivot is set (a rootfs on ramfs), a move of the mount and chroot(2).",
		[]Arg{{"NoPivot", Num, Bool}}},
	{"Chroot", "chroot", "makes the rootfs the root directory of a process that shares the host's mount namespace.", nil},
	{"RootPropagation", "root-propagation", "sets the propagation of the container's root mount.",
		[]Arg{{"Flags", Num, MSFlags}}},
	{"EnterRoot", "enter-root", "takes the root directory of the joined mount namespace as the container's root.", nil},
	{"NextPlan", "next-plan", "reports that this phase is done and takes the next one from davit.", nil},

	// The container's process.
	{"Session", "session", "starts a new session (setsid(2)); with Terminal, the pseudo-terminal becomes its controlling terminal and standard streams.",
		[]Arg{{"Terminal", Num, Bool}}},
	{"Rlimit", "rlimit", "sets a resource limit (setrlimit(2)).",
		[]Arg{{"Resource", Num, Dec}, {"Soft", Num, Dec}, {"Hard", Num, Dec}}},
	{"Umask", "umask", "sets the file mode creation mask; with Inherit, back to that of davit's caller (the stage itself works with none).",
		[]Arg{{"Mask", Num, Octal}, {"Inherit", Num, Bool}}},
	{"Personality", "personality", "sets the execution domain (personality(2)).",
		[]Arg{{"Domain", Num, Hex}}},
	{"Scheduler", "scheduler", "sets policy and parameters by sched_setattr(2); Attr is a struct sched_attr.",
		[]Arg{{"Attr", Blob, Dec}}},
	{"IOPriority", "io-priority", "sets the I/O class and priority of the process group (ioprio_set(2)).",
		[]Arg{{"Value", Num, Hex}}},
	{"Affinity", "affinity", "sets the CPUs that the process may run on (sched_setaffinity(2)).",
		[]Arg{{"Mask", Blob, Dec}}},
	{"MemoryPolicy", "memory-policy", "sets the NUMA policy (set_mempolicy(2)).",
		[]Arg{{"Mode", Num, Hex}, {"Nodes", Blob, Dec}}},
	{"Label", "label", "writes a security label to File below /proc/self/attr, through the stage's own procfs.",
		[]Arg{{"File", Str, Dec}, {"Value", Str, Dec}}},
	{"NoNewPrivs", "no-new-privs", "sets PR_SET_NO_NEW_PRIVS.", nil},
	{"Bounding", "bounding", "drops all but Keep from the capability bounding set; Last is the highest capability that the kernel knows.",
		[]Arg{{"Keep", Num, CapSet}, {"Last", Num, Dec}}},
	{"User", "user", "takes the process's user, group and additional groups, keeping capabilities until they are set. SetGroups: 0 keeps the groups, 1 sets them, 2 sets them if the namespace allows it (user_namespaces(7), /proc/PID/setgroups).",
		[]Arg{{"UID", Num, Dec}, {"GID", Num, Dec}, {"Groups", Blob, Dec}, {"SetGroups", Num, Dec}}},
	{"Capabilities", "capabilities", "sets the capability sets (capabilities(7)).",
		[]Arg{{"Effective", Num, CapSet}, {"Permitted", Num, CapSet}, {"Inheritable", Num, CapSet}, {"Ambient", Num, CapSet}}},
	{"Chdir", "chdir", "changes to the working directory and verifies that it is inside the root (CVE-2024-21626). With MayFail a refusal is left to a later attempt under another user.",
		[]Arg{{"Path", Str, Dec}, {"MayFail", Num, Bool}}},
	{"LandlockRuleset", "landlock-ruleset", "makes a Landlock ruleset (landlock_create_ruleset(2)); Attr is a struct landlock_ruleset_attr.",
		[]Arg{{"Attr", Blob, Dec}}},
	{"LandlockPath", "landlock-path", "allows Access beneath the directory at Path of the container, or FileAccess where it is another kind of file, or to the file Fd. With Optional a missing path is left alone.",
		[]Arg{{"Path", Str, Dec}, {"Fd", Slot, Dec}, {"Access", Num, Hex}, {"FileAccess", Num, Hex}, {"Optional", Num, Bool}}},
	{"LandlockPort", "landlock-port", "allows Access to a TCP port.",
		[]Arg{{"Port", Num, Dec}, {"Access", Num, Hex}}},
	{"LandlockRestrict", "landlock-restrict", "enforces the ruleset on the process and all that it becomes (landlock_restrict_self(2)).", nil},
	{"Seccomp", "seccomp", "loads the filter (seccomp(2)). The number of the listener of a filter with user notification is reported, for davit to fetch by pidfd_getfd(2), and closed when davit has passed it on: from here on the filter may stop any system call but write(2).",
		[]Arg{{"Filter", Blob, Dec}, {"Flags", Num, Hex}}},
	{"CloseFrom", "close-from", "marks every descriptor from First on close-on-exec.",
		[]Arg{{"First", Num, Dec}}},
	{"LookUp", "look-up", "verifies that one of Paths is a file that the process may execute.",
		[]Arg{{"Paths", List, Dec}}},
	{"ReportReady", "ready", "reports that all but the exec is done.", nil},
	{"Park", "park", "lets go of davit and waits on the exec FIFO for start.",
		[]Arg{{"Fifo", Slot, Dec}}},
	{"LetGo", "let-go", "closes the stage's own descriptors but the conversation's, so that no path of the container leads out by /proc/self/fd (CVE-2024-21626). Exec does it where it wasn't done; this is for a place before a filter that could forbid it.", nil},
	{"Exec", "exec", "executes the first of Paths that exists. It doesn't return; a failure is reported with the head of the file.",
		[]Arg{{"Paths", List, Dec}, {"Argv", List, Dec}, {"Env", List, Dec}}},
}

// Tokens are the things that the stage waits for davit to do.
var Tokens = []string{"Mapped", "CgroupJoined", "HooksRun", "Start", "DevicesMoved", "ListenerSent"}

// Files are the files of the container that davit asks for.
var Files = []string{"PtyMaster", "Passwd", "Group"}

// Reports are the kinds of message from the stage.
var Reports = []string{"Cloned", "File", "Waiting", "PhaseDone", "Listener", "Ready", "Failed", "ExecFailed", "Times"}
