package bundle

import (
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// sysctls checks that every key of linux.sysctl belongs to a namespace that the
// container doesn't share with the runtime: any other would change the host.
func (c *checker) sysctls(linux *path) {
	sysctls := c.spec.Linux.Sysctl
	if len(sysctls) == 0 {
		return
	}
	all := linux.member("sysctl")
	seen := make(map[string]string, len(sysctls))
	for _, key := range sortedKeys(sysctls) {
		at := all.key(key)
		file, ok := sysctlFile(key)
		if !ok {
			c.fail(at, "is not a name of a kernel parameter")
			continue
		}
		if other, ok := seen[file]; ok {
			c.failf(at, "is the same parameter as %q", other)
		}
		seen[file] = key
		c.sysctl(at, file, sysctls[key])
	}
}

// sysctlFile returns the file below /proc/sys for a key. As in sysctl(8), the
// separator that comes first separates and the other one is part of a name:
// net.ipv4.conf.eth0/1.rp_filter and net/ipv4/conf/eth0.1/rp_filter are the
// same. Names that would leave their directory are none.
func sysctlFile(key string) (string, bool) {
	if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '.' {
		key = strings.Map(func(r rune) rune {
			switch r {
			case '.':
				return '/'
			case '/':
				return '.'
			}
			return r
		}, key)
	}
	for name := range strings.SplitSeq(key, "/") {
		if name == "" || name == "." || name == ".." || strings.ContainsAny(name, " \t\r\n") {
			return "", false
		}
	}
	return key, true
}

func (c *checker) sysctl(at path, file, value string) {
	switch file {
	case "kernel/hostname":
		c.fail(at, "conflicts with the property for it").Hint = "use hostname"
		return
	case "kernel/domainname":
		if d := c.spec.Domainname; d != "" && d != value {
			c.failf(at, "contradicts domainname, %q", d)
		}
	}
	t, name := sysctlNamespace(file)
	switch {
	case t == 0:
		c.fail(at, "is not in a separate kernel namespace: the host's value would change")
	case !c.ns.isolates(t):
		c.failf(at, "needs a %s namespace that is not the runtime's: the host's value would change", name).Hint =
			`add {"type": "` + name + `"} to linux.namespaces`
	}
}

// SysctlNamespace returns the type of namespace that has its own value of a
// kernel parameter, by its name in linux.sysctl, or "".
func SysctlNamespace(key string) specs.LinuxNamespaceType {
	file, ok := sysctlFile(key)
	if !ok {
		return ""
	}
	_, name := sysctlNamespace(file)
	return specs.LinuxNamespaceType(name)
}

// sysctlNamespace returns the type of namespace that has its own value of a
// parameter on every supported kernel, or 0 (namespaces(7) and the manual pages
// of each type; ipc/ipc_sysctl.c and kernel/ucount.c of the kernel).
func sysctlNamespace(file string) (nsType, string) {
	switch file {
	case "kernel/domainname":
		return nsUTS, "uts"
	case "kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem", "kernel/shmall", "kernel/shmmax",
		"kernel/shmmni", "kernel/shm_rmid_forced",
		"kernel/msg_next_id", "kernel/sem_next_id", "kernel/shm_next_id":
		return nsIPC, "ipc"
	}
	switch {
	case strings.HasPrefix(file, "fs/mqueue/"):
		return nsIPC, "ipc"
	case strings.HasPrefix(file, "net/"):
		return nsNetwork, "network"
	case strings.HasPrefix(file, "user/max_"):
		return nsUser, "user"
	}
	return 0, ""
}
