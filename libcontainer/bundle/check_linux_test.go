package bundle

import (
	"fmt"
	"strings"
	"testing"
)

func TestMounts(t *testing.T) {
	runBroken(t, []broken{
		{`- mounts[1].destination`, "mounts[1].destination", "empty"},
		{`mounts[3] = {"type": "proc"}`, "mounts[3].destination", "empty"},
		{`- mounts[1].type`, "mounts[1].type", `"bind" missing`},
		{`- mounts[2].source`, "mounts[2].source", "bind mount"},
		{`mounts[2].type = "bind" && mounts[2].options = ["ro"]`, "mounts[2].type", "not a filesystem"},
		{`mounts[2].options = ["rbind", "rprivate", "rshared"]`, "mounts[2].options[2]", "contradicts"},
		{`mounts[2].options = ["shared", "slave", "rbind"]`, "mounts[2].options[1]", "contradicts"},
		{`mounts[2].options = ["bind", "unbindable", "private"]`, "mounts[2].options[2]", "contradicts"},
		{`mounts[0].options = ["tmpcopyup"]`, "mounts[0].options[0]", "tmpfs"},
		{`mounts[2].options = ["rbind", "idmap"]`, "mounts[2].options[1]", "user namespace"},
		{`mounts[2].options = ["rbind", "ridmap"]`, "mounts[2].options[1]", "uidMappings"},
		{`mounts[2].uidMappings = [{"containerID": 0, "hostID": 1, "size": 1}]`, "mounts[2].gidMappings", "along with"},
		{`mounts[2].gidMappings = [{"containerID": 0, "hostID": 1, "size": 1}]`, "mounts[2].uidMappings", "along with"},
		{`mounts[2].uidMappings = [{"containerID": 0, "hostID": 1, "size": 0}] && mounts[2].gidMappings = [{"containerID": 0, "hostID": 1, "size": 1}]`, "mounts[2].uidMappings[0].size", "greater than zero"},
	})
	runValid(t, []valid{
		`- mounts`,
		`mounts[0].destination = "proc"`,
		`mounts[0].destination = "../../proc"`,
		`- mounts[2].type`,
		`mounts[1].options = ["", "ro", "rw", "size=1k", "nr_inodes=5", "tmpcopyup", "what=ever"]`,
		`mounts[3] = {"destination": "/tmp", "options": ["remount", "ro"]}`,
		`mounts[2].options = ["rbind", "rprivate", "private"]`,
		`mounts[2].options = ["rbind", "rslave", "rshared"]`,
		`mounts[2].options = ["rbind", "idmap"]` + idMapped,
		`mounts[2].options = ["rbind", "idmap"] && linux.namespaces[6] = {"type": "user", "path": "/proc/1/ns/user"}`,
		`mounts[2].options = ["rbind", "idmap"] && mounts[2].uidMappings = [{"containerID": 0, "hostID": 1, "size": 1}] && mounts[2].gidMappings = [{"containerID": 0, "hostID": 1, "size": 1}]`,
	})
}

// mapping is one entry for both maps of a new user namespace.
func mapping(entries string) string {
	return `linux.namespaces[6] = {"type": "user"} && linux.gidMappings = [{"containerID": 0, "hostID": 0, "size": 1}]` +
		` && linux.uidMappings = [` + entries + `]`
}

func TestNamespaces(t *testing.T) {
	var many []string
	for i := range 341 {
		many = append(many, fmt.Sprintf(`{"containerID": %d, "hostID": %d, "size": 1}`, i, i))
	}
	runBroken(t, []broken{
		{`linux.namespaces[0].type = "process"`, "linux.namespaces[0].type", "not a type of namespace"},
		{`linux.namespaces[6] = {}`, "linux.namespaces[6].type", "empty"},
		{`linux.namespaces[6] = {"type": "net"}`, "linux.namespaces[6].type", `use "network"`},
		{`linux.namespaces[6] = {"type": "mnt"}`, "linux.namespaces[6].type", `use "mount"`},
		{`linux.namespaces[6] = {"type": "ipc"}`, "linux.namespaces[6].type", "linux.namespaces[2] already"},
		{`linux.namespaces[6] = {"type": "time", "path": "/a"} && linux.namespaces[7] = {"type": "time", "path": "/b"}`, "linux.namespaces[7].type", "already"},
		{`linux.namespaces[1].path = "run/netns/x"`, "linux.namespaces[1].path", "absolute"},
		{`linux.namespaces[6] = {"type": "user"} && linux.gidMappings = [{"containerID": 0, "hostID": 0, "size": 1}]`, "linux.uidMappings", "at least one mapping"},
		{`linux.namespaces[6] = {"type": "user"} && linux.uidMappings = [{"containerID": 0, "hostID": 0, "size": 1}]`, "linux.gidMappings", "at least one mapping"},
		{`linux.uidMappings = [{"containerID": 0, "hostID": 0, "size": 1}]`, "linux.uidMappings", "needs a user namespace"},
		{`linux.gidMappings = [{"containerID": 0, "hostID": 0, "size": 1}]`, "linux.gidMappings", "needs a user namespace"},
		{mapping(`{"containerID": 0, "hostID": 0, "size": 9}, {"containerID": 9, "hostID": 9, "size": 0}`), "linux.uidMappings[1].size", "greater than zero"},
		{mapping(`{"containerID": 0, "hostID": 0, "size": 10}, {"containerID": 9, "hostID": 10, "size": 10}`), "linux.uidMappings[1].containerID", "entry 0"},
		{mapping(`{"containerID": 0, "hostID": 100, "size": 10}, {"containerID": 10, "hostID": 95, "size": 6}`), "linux.uidMappings[1].hostID", "entry 0"},
		{mapping(`{"containerID": 0, "hostID": 1, "size": 4294967295}`), "linux.uidMappings[0].size", "beyond the last id"},
		{mapping(`{"containerID": 0, "hostID": 0, "size": 5}, {"containerID": 4294967290, "hostID": 10, "size": 6}`), "linux.uidMappings[1].size", "beyond the last id"},
		{mapping(strings.Join(many, ",")), "linux.uidMappings", "340"},
		{`linux.timeOffsets = {"monotonic": {"secs": 1}}`, "linux.timeOffsets", "needs a time namespace"},
		{`linux.timeOffsets = {"monotonic": {}} && linux.namespaces[6] = {"type": "time", "path": "/proc/1/ns/time"}`, "linux.timeOffsets", "can't be set"},
		{`linux.timeOffsets = {"realtime": {}} && linux.namespaces[6] = {"type": "time"}`, `linux.timeOffsets["realtime"]`, "monotonic or boottime"},
		{`linux.timeOffsets = {"boottime": {"nanosecs": 1000000000}} && linux.namespaces[6] = {"type": "time"}`, `linux.timeOffsets["boottime"].nanosecs`, "less than"},
		{`linux.timeOffsets = {"boottime": {"secs": 4611686019}} && linux.namespaces[6] = {"type": "time"}`, `linux.timeOffsets["boottime"].secs`, "beyond"},
	})
	runValid(t, []valid{
		mapping(`{"containerID": 0, "hostID": 0, "size": 4294967295}`),
		mapping(`{"containerID": 0, "hostID": 1000, "size": 1}, {"containerID": 1, "hostID": 100000, "size": 65536}`),
		mapping(strings.Join(many[:340], ",")),
		`linux.namespaces[6] = {"type": "user", "path": "/proc/1/ns/user"}`,
		`process.user.uid = 5` + idMapped + ` && linux.namespaces[6].path = "/proc/1/ns/user"`,
		`linux.timeOffsets = {"monotonic": {"secs": -5, "nanosecs": 999999999}, "boottime": {}} && linux.namespaces[6] = {"type": "time"}`,
		`linux.namespaces[6] = {"type": "time"}`,
	})
}

func TestSysctl(t *testing.T) {
	runBroken(t, []broken{
		{`linux.sysctl = {"kernel.core_pattern": "|/x"}`, `linux.sysctl["kernel.core_pattern"]`, "separate kernel namespace"},
		{`linux.sysctl = {"vm.swappiness": "1"}`, `linux.sysctl["vm.swappiness"]`, "separate kernel namespace"},
		{`linux.sysctl = {"fs.file-max": "1"}`, `linux.sysctl["fs.file-max"]`, "separate kernel namespace"},
		{`linux.sysctl = {"fs.mqueue": "1"}`, `linux.sysctl["fs.mqueue"]`, "separate kernel namespace"},
		{`linux.sysctl = {"net": "1"}`, `linux.sysctl["net"]`, "separate kernel namespace"},
		{`linux.sysctl = {"": "1"}`, `linux.sysctl[""]`, "not a name"},
		{`linux.sysctl = {"net..x": "1"}`, `linux.sysctl["net..x"]`, "not a name"},
		{`linux.sysctl = {"net.": "1"}`, `linux.sysctl["net."]`, "not a name"},
		{`linux.sysctl = {"/net/x": "1"}`, `linux.sysctl["/net/x"]`, "not a name"},
		{`linux.sysctl = {"net/../kernel/core_pattern": "1"}`, `linux.sysctl["net/../kernel/core_pattern"]`, "not a name"},
		{`linux.sysctl = {"net.//.kernel.core_pattern": "1"}`, `linux.sysctl["net.//.kernel.core_pattern"]`, "not a name"},
		{`linux.sysctl = {"net. x": "1"}`, `linux.sysctl["net. x"]`, "not a name"},
		{`linux.sysctl = {"kernel.hostname": "x"}`, `linux.sysctl["kernel.hostname"]`, "use hostname"},
		{`linux.sysctl = {"kernel/hostname": "x"}`, `linux.sysctl["kernel/hostname"]`, "use hostname"},
		{`linux.sysctl = {"kernel.domainname": "x"} && domainname = "y"`, `linux.sysctl["kernel.domainname"]`, "contradicts"},
		{`linux.sysctl = {"kernel.domainname": "x"} && - hostname && linux.namespaces = [{"type": "mount"}]`, `linux.sysctl["kernel.domainname"]`, "uts namespace"},
		{`linux.sysctl = {"kernel.shmmax": "1"} && linux.namespaces = [{"type": "mount"}, {"type": "uts"}]`, `linux.sysctl["kernel.shmmax"]`, "ipc namespace"},
		{`linux.sysctl = {"fs.mqueue.msg_max": "1"} && linux.namespaces = [{"type": "mount"}, {"type": "uts"}]`, `linux.sysctl["fs.mqueue.msg_max"]`, "ipc namespace"},
		{`linux.sysctl = {"net.ipv4.ip_forward": "1"} && linux.namespaces = [{"type": "mount"}, {"type": "uts"}]`, `linux.sysctl["net.ipv4.ip_forward"]`, "network namespace"},
		{`linux.sysctl = {"net.ipv4.ip_forward": "1"} && linux.namespaces[1].path = "/proc/self/ns/net"`, `linux.sysctl["net.ipv4.ip_forward"]`, "not the runtime's"},
		{`linux.sysctl = {"net.ipv4.ip_forward": "1"} && linux.namespaces[1].path = "/proc/thread-self/ns/net"`, `linux.sysctl["net.ipv4.ip_forward"]`, "not the runtime's"},
		{`linux.sysctl = {"user.max_user_namespaces": "1"}`, `linux.sysctl["user.max_user_namespaces"]`, "user namespace"},
		{`linux.sysctl = {"net.ipv4.ip_forward": "1", "net/ipv4/ip_forward": "0"}`, `linux.sysctl["net/ipv4/ip_forward"]`, "same parameter"},
	})
	runValid(t, []valid{
		`linux.sysctl = {"kernel.msgmax": "1", "kernel/sem": "1 2 3 4", "fs.mqueue.msg_max": "1", "fs/mqueue/queues_max": "1"}`,
		`linux.sysctl = {"net.ipv4.conf.eth0/1.rp_filter": "1", "net/ipv4/conf/eth0.2/rp_filter": "1", "net.core.somaxconn": ""}`,
		`linux.sysctl = {"net.ipv4.ip_forward": "1"} && linux.namespaces[1].path = "/run/netns/x"`,
		`linux.sysctl = {"kernel.domainname": "x"}`,
		`linux.sysctl = {"kernel.domainname": "x"} && domainname = "x"`,
		`linux.sysctl = {"user.max_user_namespaces": "1"}` + idMapped,
	})
}

func TestLinux(t *testing.T) {
	runBroken(t, []broken{
		{`linux.cgroupsPath = "/a/../../b"`, "linux.cgroupsPath", `".."`},
		{`linux.cgroupsPath = ".."`, "linux.cgroupsPath", `".."`},
		{`linux.cgroupsPath = "/a\nb"`, "linux.cgroupsPath", "newline"},
		{`linux.rootfsPropagation = "public"`, "linux.rootfsPropagation", "shared, slave, private"},
		{`linux.maskedPaths = ["/proc/kcore", "proc/keys"]`, "linux.maskedPaths[1]", "absolute"},
		{`linux.readonlyPaths = ["sys"]`, "linux.readonlyPaths[0]", "absolute"},
		{`linux.readonlyPaths = [""]`, "linux.readonlyPaths[0]", "empty"},
		{`linux.namespaces = [{"type": "uts"}] && - linux.readonlyPaths`, "linux.maskedPaths", "mount namespace"},
		{`linux.namespaces = [{"type": "uts"}] && - linux.maskedPaths`, "linux.readonlyPaths", "mount namespace"},
		{`linux.mountLabel = "a\nb"`, "linux.mountLabel", "newline"},
		{`linux.intelRdt = {"closID": "a/b"}`, "linux.intelRdt.closID", "one directory"},
		{`linux.intelRdt = {"closID": ".."}`, "linux.intelRdt.closID", "taken"},
		{`linux.intelRdt = {"closID": "info"}`, "linux.intelRdt.closID", "taken"},
		{`linux.intelRdt = {"closID": "a\nb"}`, "linux.intelRdt.closID", "newline"},
		{`linux.intelRdt = {"l3CacheSchema": "L3:0=f\nMB:0=1"}`, "linux.intelRdt.l3CacheSchema", "newline"},
		{`linux.intelRdt = {"memBwSchema": "L3:0=f"}`, "linux.intelRdt.memBwSchema", `"MB:"`},
		{`linux.intelRdt = {"memBwSchema": "MB:0=1\n"}`, "linux.intelRdt.memBwSchema", "newline"},
		{`linux.intelRdt = {"schemata": ["L3:0=f", "L2:0=f\nL2:1=f"]}`, "linux.intelRdt.schemata[1]", "newline"},
		{`linux.intelRdt = {"schemata": [""]}`, "linux.intelRdt.schemata[0]", "empty"},
		{`linux.personality = {}`, "linux.personality.domain", "empty"},
		{`linux.personality = {"domain": "LINUX64"}`, "linux.personality.domain", "LINUX32"},
		{`linux.personality = {"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]}`, "linux.personality.flags", "no flags"},
		{`linux.memoryPolicy = {"nodes": ""}`, "linux.memoryPolicy.mode", "empty"},
		{`linux.memoryPolicy = {"mode": "MPOL_FAR", "nodes": ""}`, "linux.memoryPolicy.mode", "not a mode"},
		{`linux.memoryPolicy = {"mode": "MPOL_BIND", "nodes": ""}`, "linux.memoryPolicy.nodes", "not be empty"},
		{`linux.memoryPolicy = {"mode": "MPOL_BIND", "nodes": "0-x"}`, "linux.memoryPolicy.nodes", "list of nodes"},
		{`linux.memoryPolicy = {"mode": "MPOL_DEFAULT", "nodes": "0"}`, "linux.memoryPolicy.nodes", "must be empty"},
		{`linux.memoryPolicy = {"mode": "MPOL_LOCAL", "nodes": "0"}`, "linux.memoryPolicy.nodes", "must be empty"},
		{`linux.memoryPolicy = {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_X"]}`, "linux.memoryPolicy.flags[0]", "not a flag"},
		{`linux.memoryPolicy = {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"]}`, "linux.memoryPolicy.flags", "exclude each other"},
		{`linux.memoryPolicy = {"mode": "MPOL_INTERLEAVE", "nodes": "0", "flags": ["MPOL_F_NUMA_BALANCING"]}`, "linux.memoryPolicy.flags", "MPOL_BIND"},
		{`linux.memoryPolicy = {"mode": "MPOL_LOCAL", "nodes": "", "flags": ["MPOL_F_STATIC_NODES"]}`, "linux.memoryPolicy.flags", "no meaning"},
		{`linux.memoryPolicy = {"mode": "MPOL_PREFERRED", "nodes": "", "flags": ["MPOL_F_STATIC_NODES"]}`, "linux.memoryPolicy.flags", "without nodes"},
	})
	runValid(t, []valid{
		`linux.cgroupsPath = "/kubepods/burstable/x"`,
		`linux.cgroupsPath = "a..b/c"`,
		`linux.cgroupsPath = "system.slice:davit:x"`,
		`linux.rootfsPropagation = "rslave"`,
		`linux.rootfsPropagation = "unbindable"`,
		`linux.intelRdt = {"closID": "/", "enableMonitoring": true}`,
		`linux.intelRdt = {"closID": "gold", "l3CacheSchema": "L3:0=f", "memBwSchema": "MB:0=20", "schemata": ["L2:0=f"], "enableCMT": true}`,
		`linux.personality = {"domain": "LINUX32", "flags": []}`,
		`linux.memoryPolicy = {"mode": "MPOL_BIND", "nodes": "0-3,7", "flags": ["MPOL_F_NUMA_BALANCING", "MPOL_F_STATIC_NODES"]}`,
		`linux.memoryPolicy = {"mode": "MPOL_DEFAULT"}`,
		`linux.memoryPolicy = {"mode": "MPOL_PREFERRED", "nodes": ""}`,
		`linux.memoryPolicy = {"mode": "MPOL_WEIGHTED_INTERLEAVE", "nodes": "0"}`,
	})
}
