package libcontainer

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/selinux/go-selinux"
	"golang.org/x/sys/unix"

	"davit/libcontainer/landlock"
	"davit/libcontainer/plan"
)

// initUserNS is the inode number of the initial user namespace (PROC_USER_INIT_INO, linux/proc_ns.h).
const initUserNS = 0xEFFFFFFD

// hostFacts looks up what the compiler has to know for this configuration, and nothing else.
func hostFacts(spec *specs.Spec, rootfs string) (plan.Facts, error) {
	f := plan.Facts{EUID: unix.Geteuid(), LastCap: lastCapability()}
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/user", &st); err == nil {
		f.InUserNS = st.Ino != initUserNS
		f.ForeignMounts = f.InUserNS && !ownMounts(&st)
	}
	caps, err := permitted()
	if err != nil {
		return f, fmt.Errorf("read own capabilities: %w", err)
	}
	f.Capabilities = caps
	if p := spec.Process; p != nil && p.Capabilities != nil && len(p.Capabilities.Ambient) > 0 {
		const noAmbientRaise = 1 << 6 // SECBIT_NO_CAP_AMBIENT_RAISE, linux/securebits.h
		bits, err := unix.PrctlRetInt(unix.PR_GET_SECUREBITS, 0, 0, 0, 0)
		f.NoAmbient = err == nil && bits&noAmbientRaise != 0
	}
	if _, ok := spec.Annotations[landlock.Annotation]; ok {
		f.LandlockABI = landlockABI()
	}
	if slices.ContainsFunc(spec.Mounts, func(m specs.Mount) bool { return m.Type == "overlay" }) {
		major, minor, _, _ := kernelVersion()
		f.OverlayAppends = major > 6 || major == 6 && minor >= 7
	}
	l := spec.Linux
	if (l != nil && l.MountLabel != "") || (spec.Process != nil && spec.Process.SelinuxLabel != "") {
		f.SELinux = selinux.GetEnabled()
		if !f.SELinux {
			return f, fmt.Errorf("%s: SELinux label is specified in config, but SELinux is disabled or not supported", labelField(spec))
		}
	}
	if l != nil && plan.RootfsMountNeeded(l.RootfsPropagation) {
		if f.RootfsMount, err = mountPointOf(rootfs); err != nil {
			return f, err
		}
	}
	return f, nil
}

// landlockABI is the version of the kernel's Landlock; 0 where it has none, or
// where it was turned off at boot (landlock_create_ruleset(2)).
func landlockABI() int {
	abi, _, errno := unix.RawSyscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(abi)
}

// ownMounts tells whether the caller's mount namespace belongs to his user
// namespace. That of one above is not even shown (NS_GET_USERNS, ioctl_ns(2)).
func ownMounts(user *unix.Stat_t) bool {
	mounts, err := unix.Open("/proc/self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(mounts)
	owner, err := unix.IoctlRetInt(mounts, unix.NS_GET_USERNS)
	if err != nil {
		return false
	}
	defer unix.Close(owner)
	var st unix.Stat_t
	return unix.Fstat(owner, &st) == nil && st.Ino == user.Ino && st.Dev == user.Dev
}

func labelField(spec *specs.Spec) string {
	if spec.Process != nil && spec.Process.SelinuxLabel != "" {
		return "process.selinuxLabel"
	}
	return "linux.mountLabel"
}

// lastCapability asks the kernel for its highest capability: the bounding set has no others.
func lastCapability() uint64 {
	c := unix.CAP_LAST_CAP
	for known(c + 1) {
		c++
	}
	for c > 0 && !known(c) {
		c--
	}
	return uint64(c)
}

func known(c int) bool {
	_, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0)
	return err == nil
}

func permitted() (uint64, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, err
	}
	return uint64(data[0].Permitted) | uint64(data[1].Permitted)<<32, nil
}

// mountPointOf finds the mount that a path is on (proc_pid_mountinfo(5), field 5).
func mountPointOf(path string) (string, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	best := "/"
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		at := unescape(fields[4])
		if len(at) >= len(best) && (path == at || strings.HasPrefix(path, strings.TrimSuffix(at, "/")+"/")) {
			best = at
		}
	}
	return best, nil
}

// unescape undoes the octal escapes of blanks and backslashes in mountinfo.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// kernelVersion is the release of the running kernel.
func kernelVersion() (major, minor int, release string, err error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return 0, 0, "", err
	}
	release = unix.ByteSliceToString(u.Release[:])
	x, rest, _ := strings.Cut(release, ".")
	y := rest
	if i := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		y = rest[:i]
	}
	major, _ = strconv.Atoi(x)
	minor, _ = strconv.Atoi(y)
	return major, minor, release, nil
}

// checkKernel refuses kernels without the system calls that davit is built on.
func checkKernel() error {
	major, minor, release, err := kernelVersion()
	if err != nil {
		return err
	}
	if major < 5 || major == 5 && minor < 10 {
		return fmt.Errorf("the kernel is %s: davit needs Linux 5.10 or newer", release)
	}
	return nil
}
