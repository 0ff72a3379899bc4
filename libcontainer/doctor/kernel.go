package doctor

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"davit/cgroups/devices"
	"davit/nsenter"
)

// oldest is the first Linux that has all system calls without which there is no container.
const oldestMajor, oldestMinor = 5, 10

const newerKernel = "boot a newer kernel"

func (e *examiner) kernel() {
	e.area = "kernel"
	e.version()
	e.stage()
	fd, err := unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
	if err == nil {
		unix.Close(fd)
	}
	e.tried("openat2", err, Fatal, "every look-up below a rootfs", newerKernel+" (5.6), or allow the system call in the seccomp profile that davit runs under")
	e.tried("pidfd", pidfd(), Fatal, "signals to containers, exec", newerKernel+" (5.6)")
	e.tried("clone3 into a cgroup", cloneIntoCgroup(), Missing, "start-up on cgroup v2 (CLONE_INTO_CGROUP)", newerKernel+" (5.7), or allow clone3 in the seccomp profile that davit runs under")
	e.tried("mount_setattr", known(unix.MountSetattr(-1, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}), unix.EBADF, unix.EPERM), Missing,
		"mounts[].options rro, rnosuid, … and idmap, linux.readonlyPaths over mounts", newerKernel+" (5.12)")
	e.tried("BPF device programs", bpfDevices(e), Missing, "linux.resources.devices on cgroup v2", "run davit with CAP_BPF or CAP_SYS_ADMIN; the kernel needs CONFIG_CGROUP_BPF")
	_, err = unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false)
	e.tried("keyrings", known(err, unix.ENOKEY), Note, "", "")
	_, _, errno := unix.Syscall6(unix.SYS_GET_MEMPOLICY, 0, 0, 0, 0, 0, 0)
	e.tried("memory policies", errnoOf(errno), Missing, "linux.memoryPolicy", "a kernel with CONFIG_NUMA")
	e.landlock()
}

func errnoOf(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

func (e *examiner) version() {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		e.add(Fatal, "version", err.Error(), "everything", "")
		return
	}
	release := unix.ByteSliceToString(u.Release[:])
	detail := "Linux " + release + " " + unix.ByteSliceToString(u.Machine[:])
	if major, minor := split(release); major < oldestMajor || major == oldestMajor && minor < oldestMinor {
		e.add(Fatal, "version", detail, "everything", fmt.Sprintf("%s: davit needs %d.%d", newerKernel, oldestMajor, oldestMinor))
		return
	}
	e.ok("version", detail)
}

// split takes 6 and 18 from 6.18.5-arch1.
func split(release string) (major, minor int) {
	first, rest, _ := strings.Cut(release, ".")
	if i := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		rest = rest[:i]
	}
	major, _ = strconv.Atoi(first)
	minor, _ = strconv.Atoi(rest)
	return major, minor
}

// stage starts davit's stage from its sealed memfd, as each container does.
func (e *examiner) stage() {
	const name = "sealed memfd"
	if nsenter.StageSize() == 0 {
		e.add(Fatal, "stage", "this davit was built without it", "everything", "build davit with make")
		return
	}
	s, err := nsenter.Start([]uintptr{0, 1, 2})
	if err != nil {
		remedy := newerKernel
		if value("/proc/sys/vm/memfd_noexec") == "2" {
			remedy = "sysctl -w vm.memfd_noexec=1"
		}
		e.add(Fatal, name, err.Error(), "everything", remedy)
		return
	}
	s.Close()
	e.ok(name, "the stage starts from one")
}

func pidfd() error {
	fd, err := unix.PidfdOpen(unix.Getpid(), 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	got, err := unix.PidfdGetfd(fd, fd, 0)
	if err != nil {
		return fmt.Errorf("pidfd_getfd: %w", err)
	}
	unix.Close(got)
	return known(unix.PidfdSendSignal(fd, 0, nil, 0))
}

// cloneIntoCgroup clones into a descriptor that isn't open: behind EBADF
// everything about the call is known to the kernel, and no process was made.
func cloneIntoCgroup() error {
	args := struct{ flags, pidfd, childTid, parentTid, exitSignal, stack, stackSize, tls, setTid, setTidSize, cgroup uint64 }{
		flags: unix.CLONE_INTO_CGROUP, exitSignal: uint64(unix.SIGCHLD), cgroup: 1 << 30}
	_, _, errno := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args), 0)
	runtime.KeepAlive(&args)
	return known(errnoOf(errno), unix.EBADF)
}

func bpfDevices(e *examiner) error {
	if !e.privileged && !e.has(unix.CAP_BPF) {
		return fmt.Errorf("not tried: it takes CAP_BPF or CAP_SYS_ADMIN")
	}
	return devices.Probe()
}

// landlock asks for the version of the kernel's interface (landlock_create_ruleset(2)).
func (e *examiner) landlock() {
	const versionFlag = 1
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, versionFlag)
	if errno != 0 {
		e.missing("Landlock", errno.Error(), "annotation run.davit.landlock", "boot with landlock in lsm=…; the kernel needs CONFIG_SECURITY_LANDLOCK (5.13)")
		return
	}
	e.ok("Landlock", "ABI "+strconv.Itoa(int(abi)))
}
