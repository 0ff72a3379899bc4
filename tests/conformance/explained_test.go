package conformance

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// kind tells whose matter a failure is.
type kind string

const (
	ofSuite     kind = "suite"     // the case contradicts the sentence that is quoted
	ofHost      kind = "host"      // the host lacks what the case needs
	ofDeparture kind = "departure" // davit does otherwise, deliberately
)

// explained is why points of some programs fail.
type explained struct {
	programs []string
	points   []string // each is part of a failing point's description
	kind     kind
	file     string      // of the specification,
	sentence string      // and what it says there
	why      string      // about the case
	lacks    func() bool // tells whether this host is one where it fails; nil: all are
}

// explanations are all failures that are known. A program's points must be in one of them.
var explanations = []explained{
	{
		programs: []string{"delete"}, points: []string{"attempting to `delete` a container that is not `stopped`"}, kind: ofDeparture,
		file: "runtime.md", sentence: "Attempting to `delete` a container that is not [`stopped`](#state) MUST have no effect on the container and MUST [generate an error](#errors).",
		why: "A container that was created and never started is killed and deleted, as by runc and crun: callers give up such a container that way. A running one is refused, which the same program sees.",
	},
	{
		programs: []string{"delete_resources", "linux_cgroups_pids", "linux_cgroups_relative_pids"}, points: []string{"pids limit is set correctly"}, kind: ofSuite,
		file: "config-linux.md", sentence: "* **`limit`** *(int64, OPTIONAL)* - specifies the maximum number of tasks in the cgroup, with `-1` indicating no limit (`max`).",
		why: "The limit became a pointer in the specification's Go types; the program compares two addresses, not the numbers there.",
	},
	{
		programs: []string{"hooks"}, points: []string{"Hooks MUST be called in the listed order"}, kind: ofSuite,
		file: "config.md", sentence: "Hooks MUST be called in the listed order.",
		why: "Its hooks write `post-start1 called`, it waits for `post-start1`; and were they equal, it would dereference an error that is nil.",
	},
	{
		programs: []string{"hooks_stdin"}, points: []string{`passed to "prestart" hook over stdin`}, kind: ofSuite,
		file: "runtime.md", sentence: "    * `created`: the runtime has finished the [create operation](#create) (after step 2 in the [lifecycle](#lifecycle)), and the container process has neither exited nor executed the user-specified program",
		why: "It wants `created` from a hook that is part of the create operation, which isn't finished then: it is `creating`.",
	},
	{
		programs: []string{"prestart"}, points: []string{"Pre-start hooks MUST be called after the `start` operation is called"}, kind: ofSuite,
		file: "config.md", sentence: "The `prestart` hooks MUST be called as part of the [`create`](runtime.md#create) operation",
		why: "It has the rule of version 1.0.0.",
	},
	{
		programs: []string{"poststart_fail"}, points: []string{"if any poststart hook fails, the runtime MUST log a warning"}, kind: ofSuite,
		file: "runtime.md", sentence: "    If any `poststart` hook fails, the runtime MUST [generate an error](#errors), stop the container, and continue the lifecycle at step 12.",
		why: "It has the rule of an older version.",
	},
	{
		programs: []string{"start"}, points: []string{"`start` operation MUST generate an error if `process` was not set", "timeout in waiting for the container status"}, kind: ofSuite,
		file: "runtime.md", sentence: "This operation MUST generate an error if `process` was not set.",
		why: "davit generates it; the program has the condition upside down and then waits for the container to stop that wasn't started.",
	},
	{
		programs: []string{"pidfile"}, points: []string{"create with '--pid-file' option works"}, kind: ofSuite,
		file: "runtime.md", sentence: "Attempting to send a signal to a container that is neither [`created` nor `running`](#state) MUST have no effect on the container and MUST [generate an error](#errors).",
		why: "The pid file was right. The program runs `true`, waits until it is long gone, and expects that it can be killed then.",
	},
	{
		programs: []string{"process_capabilities_fail"}, points: []string{"Any value which cannot be mapped to a relevant kernel interface MUST cause an error"}, kind: ofSuite,
		file: "config.md", sentence: "Runtimes SHOULD NOT fail if the container configuration requests\n    capabilities that cannot be granted",
		why: "It has the rule of an older version: a capability that is not known is a warning now.",
	},
	{
		programs: []string{"process_rlimits"}, points: []string{"has expected soft RLIMIT_NOFILE"}, kind: ofSuite,
		file: "config.md", sentence: "`rlim.rlim_cur` MUST match the configured value.",
		why: "It does when the program starts; but the program that looks is written in Go, whose library raises its own soft limit of open files to the hard one.",
	},
	{
		programs: []string{"misc_props"}, points: []string{"unknown annotation key"}, kind: ofSuite,
		file: "runtime.md", sentence: "If the runtime is unable to create the environment specified in the [`config.json`](config.md), it MUST [generate an error](#errors).",
		why: "Not the annotation is refused: the config asks for `/runtimetest`, which the program forgets to put into the bundle.",
	},
	{
		programs: []string{"mounts"}, points: []string{"belongs to the filesystem, a bind mount of it can't change it"}, kind: ofSuite,
		file: "config.md", sentence: "Runtimes MUST generate an error when invalid or unsupported values are encountered.",
		why: "It gives tmpfs's options `mode` and `size` to bind mounts, which have none: davit doesn't drop what a config asks for.",
	},
	{
		programs: []string{"linux_ns_itype"}, points: []string{"would change the host's mounts: it needs a mount namespace"}, kind: ofDeparture,
		file: "config-linux.md", sentence: "If a namespace type is not specified in the `namespaces` array, the container MUST inherit the [runtime namespace](glossary.md#runtime-namespace) of that type.",
		why: "Without a mount namespace the config's mounts would be made on the host, over its /proc and /dev. davit inherits all other namespaces.",
	},
	{
		programs: []string{"linux_cgroups_devices", "linux_cgroups_relative_devices"}, points: []string{"devices c 10:229 rwm is set correctly"}, kind: ofSuite,
		file: "config-linux.md", sentence: "In addition to any devices configured with this setting, the runtime MUST also supply:",
		why: "It takes the kernel's list to be the config's, entry by entry; what lets the container use its default devices and make device nodes stands before them.",
	},
	{
		programs: []string{"linux_cgroups_memory", "linux_cgroups_relative_memory"}, points: []string{"memory kernel is set correctly", "memory kernelTCP is set correctly"}, kind: ofDeparture,
		file: "config-linux.md", sentence: "* **`kernelTCP`** *(int64, OPTIONAL, NOT RECOMMENDED)* - sets hard limit for kernel TCP buffer memory",
		why: "Both limits are ignored with a warning: Linux 5.16 took the first away, the second is obsolete.",
	},
	{
		programs: []string{"linux_cgroups_blkio", "linux_cgroups_relative_blkio"}, points: []string{"blkio.leaf_weight: no such file or directory"}, kind: ofHost,
		why:   "The kernel has no blkio.leaf_weight: it went with the CFQ scheduler, in Linux 5.0. davit refuses what it can't set.",
		lacks: missing("/sys/fs/cgroup/blkio/blkio.leaf_weight"),
	},
	{
		programs: []string{"linux_cgroups_hugetlb", "linux_cgroups_relative_hugetlb"}, points: []string{"get hugetlb cgroup data", "In the case of an absolute path"}, kind: ofHost,
		why:   "No cgroup v1 hierarchy has the hugetlb controller, and the program doesn't know version 2, where it is.",
		lacks: missing("/sys/fs/cgroup/hugetlb"),
	},
	{
		programs: []string{"linux_cgroups_network", "linux_cgroups_relative_network"}, points: []string{"the net_cls controller is not available"}, kind: ofHost,
		why:   "The kernel has no net_cls controller.",
		lacks: missing("/sys/fs/cgroup/net_cls"),
	},
	{
		programs: []string{"linux_mount_label"}, points: []string{"SELinux is disabled or not supported"}, kind: ofHost,
		why:   "The kernel has no SELinux.",
		lacks: missing("/sys/fs/selinux/enforce"),
	},
	{
		programs: []string{"linux_process_apparmor_profile"}, points: []string{"AppArmor is not enabled on this host"}, kind: ofHost,
		why:   "The kernel has no AppArmor.",
		lacks: missing("/sys/kernel/security/apparmor"),
	},
	{
		programs: []string{"process_capabilities"}, points: []string{"capability CAP_SYS_RESOURCE set"}, kind: ofHost,
		why: "Whoever runs the test lacks CAP_SYS_RESOURCE, so nobody can be given it.",
		lacks: func() bool {
			held, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, unix.CAP_SYS_RESOURCE, 0, 0, 0)
			return err == nil && held == 0
		},
	},
}

func missing(path string) func() bool {
	return func() bool { _, err := os.Stat(path); return err != nil }
}

// explain finds the explanation of a failing point on this host, by its index.
func explain(program, point string) (int, bool) {
	for i, e := range explanations {
		if (e.lacks == nil || e.lacks()) && e.of(program) && e.covers(point) {
			return i, true
		}
	}
	return 0, false
}

func (e *explained) of(program string) bool {
	for _, p := range e.programs {
		if p == program {
			return true
		}
	}
	return false
}

func (e *explained) covers(point string) bool {
	for _, p := range e.points {
		if strings.Contains(point, p) {
			return true
		}
	}
	return false
}

// quoted tells whether the specification says what e has from it.
func (e *explained) quoted(specDir string) bool {
	text, err := os.ReadFile(filepath.Join(specDir, e.file))
	return err == nil && strings.Contains(string(text), e.sentence)
}
