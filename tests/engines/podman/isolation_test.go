package podman

import (
	"strings"

	"davit/tests/engines/containers"
	"davit/tests/engines/lab"
)

var isolationScenarios = []lab.Scenario{
	{Name: "--read-only --tmpfs", Run: with(func(p podman) {
		out := p.out("--read-only", "--tmpfs", "/scratch:size=1m,mode=1777", "--", "sh", "-c", "touch /x 2>&1; touch /scratch/x && ls /scratch; df -k /scratch; touch /tmp/x && echo writable")
		p.Contains("output", out, "Read-only file system", "x\n", " 1024 ", "writable")
	})},
	{Name: "--tmpfs copies up", Run: with(func(p podman) {
		out := p.out("--tmpfs", "/etc", "--", "sh", "-c", "stat -f -c %T /etc; grep -c alice /etc/passwd; stat -c %a /etc")
		p.Equal("output", out, "tmpfs\n1\n755")
		p.Equal("not", p.out("--tmpfs", "/home:notmpcopyup", "--", "ls", "/home"), "")
	})},
	{Name: "--cap-add --cap-drop", Run: with(func(p podman) {
		p.Contains("by default", p.out("grep", "CapEff", "/proc/self/status"), "00000000800405fb")
		p.Contains("only one", p.out("--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE", "--", "grep", "CapEff", "/proc/self/status"), "0000000000000400")
		p.Contains("two more", p.out("--cap-add", "SYS_ADMIN", "--cap-add", "SYS_TIME", "--", "grep", "CapEff", "/proc/self/status"), "00000000822405fb")
	})},
	{Name: "--privileged", Excuse: "root lacks CAP_SYS_RESOURCE on this machine", Run: with(func(p podman) {
		p.Contains("capabilities", p.out("--privileged", "--", "grep", "CapEff", "/proc/self/status"), "000001ffffffffff")
	})},
	{Name: "--security-opt no-new-privileges", Run: with(func(p podman) {
		p.Contains("status", p.out("--security-opt", "no-new-privileges", "--", "grep", "NoNewPrivs", "/proc/self/status"), "\t1")
		p.Contains("status", p.out("grep", "NoNewPrivs", "/proc/self/status"), "\t0")
	})},
	{Name: "--security-opt seccomp", Run: with(func(p podman) {
		p.Contains("by default", p.out("sh", "-c", "grep Seccomp: /proc/self/status; mount -t tmpfs x /tmp 2>&1; true"), "Seccomp:\t2", "ermi")
		p.Contains("unconfined", p.out("--security-opt", "seccomp=unconfined", "--", "grep", "Seccomp:", "/proc/self/status"), "Seccomp:\t0")
		profile := p.Write("tmp/"+p.ID+".json", `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}`, 0o644)
		p.Contains("a profile", p.out("--security-opt", "seccomp="+profile, "--", "sh", "-c", "mkdir /tmp/x 2>&1; true"), "Operation not supported")
	})},
	{Name: "--security-opt unmask, default masks", Run: with(func(p podman) {
		masked := "mount | grep -c ' on /proc/'; true"
		if p.out("sh", "-c", masked) == "0" {
			p.Fatalf("nothing is masked by default")
		}
		p.Equal("masks", p.out("--security-opt", "unmask=ALL", "--", "sh", "-c", masked), "0")
		out := p.out("sh", "-c", "cat /proc/keys | wc -c; (echo x >/proc/sys/kernel/msgmax) 2>&1; ls /sys/firmware | wc -l; true")
		p.Equal("/proc/keys", strings.Split(out, "\n")[0], "0")
		p.Contains("output", out, "/proc/sys/kernel/msgmax: Read-only file system")
	})},
	{Name: "-v :ro, volumes, --mount", Run: with(func(p podman) {
		p.Write("tmp/"+p.ID+"/file", "of the host", 0o644)
		dir := p.Path("tmp", p.ID)
		p.Must("chmod", "777", dir)
		volume := p.ID + "-volume"
		p.Cleanup(func() { p.podman("volume", "rm", volume) })
		out := p.out("-v", dir+":/ro:ro", "-v", dir+":/rw", "-v", volume+":/volume", "--mount", "type=bind,src="+dir+",dst=/bound,ro", "--mount", "type=tmpfs,dst=/scratch,tmpfs-size=1m",
			"--", "sh", "-c", "cat /ro/file; echo; touch /ro/x 2>&1; touch /bound/x 2>&1; touch /rw/made; echo kept >/volume/file; df -k /scratch")
		p.Contains("output", out, "of the host", "touch: /ro/x: Read-only file system", "touch: /bound/x: Read-only file system", " 1024 ")
		p.Must("test", "-e", dir+"/made")
		p.Equal("the volume", p.out("-v", volume+":/volume:ro", "--", "cat", "/volume/file"), "kept")
	})},
	{Name: "--volumes-from", Run: with(func(p podman) {
		p.detached("-v", "/data", "--", "sh", "-c", "echo shared >/data/file; sleep 1000")
		p.Eventually("the file", func() bool { return p.made("/data/file") })
		p.Equal("content", p.other("--volumes-from", p.ID, "--", "cat", "/data/file"), "shared")
	})},
	{Name: "--user --group-add", Run: with(func(p podman) {
		p.Equal("a name", p.out("--user", "alice", "--", "sh", "-c", "id -un; id -G; echo $HOME"), "alice\n1000 50\n/home/alice")
		p.Equal("ids", p.out("--user", "1234:4321", "--group-add", "77", "--", "sh", "-c", "id -u; id -G"), "1234\n4321 77")
	})},
	{Name: "--hostname --add-host", Run: with(func(p podman) {
		out := p.out("--hostname", "ship", "--add-host", "harbour:10.1.2.3", "--", "sh", "-c", "hostname; cat /etc/hosts")
		p.Contains("output", out, "ship\n", "10.1.2.3\tharbour")
	})},
	{Name: "--sysctl", Run: with(func(p podman) {
		out := p.out("--sysctl", "net.ipv4.ip_unprivileged_port_start=80", "--sysctl", "kernel.msgmax=9000", "--", "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start", "/proc/sys/kernel/msgmax")
		p.Equal("values", out, "80\n9000")
	})},
	{Name: "--device", Run: with(func(p podman) {
		if p.rootless() {
			p.Equal("the host's node", p.out("--device", "/dev/zero:/dev/mine", "--", "sh", "-c", "stat -c '%t:%T' /dev/mine; head -c 1 /dev/mine | wc -c"), "1:5\n1")
			return
		}
		out := p.out("--device", "/dev/loop-control:/dev/mine:r", "--", "sh", "-c", "stat -c '%t:%T' /dev/mine; exec 3</dev/mine && echo readable; (exec 3>/dev/mine) 2>&1; true")
		p.Contains("output", out, "a:ed", "readable", "Operation not permitted")
	})},
	{Name: "--pid --ipc --uts host", Run: with(func(p podman) {
		links := []string{"sh", "-c", "for n in pid ipc uts; do readlink /proc/self/ns/$n; done"}
		p.Equal("namespaces", p.out(append([]string{"--pid", "host", "--ipc", "host", "--uts", "host", "--"}, links...)...), p.Must(links...))
	})},
	{Name: "--pid --ipc --network container:", Run: with(func(p podman) {
		p.detached("--ipc", "shareable", "--", "sleep", "999")
		links := []string{"sh", "-c", "for n in pid ipc net; do readlink /proc/self/ns/$n; done"}
		join := []string{"--pid", "container:" + p.ID, "--ipc", "container:" + p.ID, "--network", "container:" + p.ID, "--"}
		p.Equal("namespaces", p.other(append(join, links...)...), p.exec(links...))
	})},
	{Name: "--network host", Run: with(func(p podman) {
		link := []string{"readlink", "/proc/self/ns/net"}
		p.Equal("namespace", p.out(append([]string{"--network", "host", "--"}, link...)...), p.Must(link...))
	})},
	{Name: "--cgroupns private and host", Run: with(func(p podman) {
		p.needsCgroups()
		for line := range strings.SplitSeq(p.out("--cgroupns", "private", "--", "cat", "/proc/self/cgroup"), "\n") {
			if f := strings.SplitN(line, ":", 3); p.Cgroups != lab.V2 || f[1] == "" {
				p.Equal("path of "+line, f[2], "/")
			}
		}
		p.Contains("cgroup", p.out("--cgroupns", "host", "--", "cat", "/proc/self/cgroup"), "/libpod-")
	})},
	{Name: "--uidmap --gidmap", Run: with(func(p podman) {
		maps := []string{"--uidmap", "0:100000:2000", "--gidmap", "0:100000:2000", "--"}
		if p.rootless() { // of the ids that the user has
			maps = []string{"--uidmap", "0:1:2000", "--gidmap", "0:1:2000", "--"}
		}
		out := p.out(append(maps, "sh", "-c", "touch /made && stat -c %u:%g /made; awk '{print $3}' /proc/self/uid_map; id -u")...)
		p.Equal("output", out, "0:0\n2000\n0")
	})},
	{Name: "--userns auto", Run: with(func(p podman) {
		if !p.rootless() {
			p.Must("sh", "-c", "grep -q ^containers: /etc/subuid || echo containers:2000000:1000000 | tee -a /etc/subuid >>/etc/subgid")
		}
		out := p.out("--userns", "auto:size=3000", "--", "awk", "{print $1, $3}", "/proc/self/uid_map")
		p.Equal("map", out, "0 3000")
	})},
	{Name: "--userns keep-id", Run: with(func(p podman) {
		if !p.rootless() {
			p.Skipf("keep-id is for ordinary users")
		}
		dir := p.Path("tmp", p.ID)
		p.Must("sh", "-c", "mkdir "+dir+"; chown "+containers.UserID+" "+dir)
		out := p.out("--userns", "keep-id", "-v", dir+":/data", "--", "sh", "-c", "id -u; touch /data/mine; stat -c %u /data/mine; (touch /etc/x) 2>&1")
		p.Contains("output", out, containers.UserID+"\n"+containers.UserID+"\n", "denied")
		p.Equal("owner outside", p.Must("stat", "-c", "%u", dir+"/mine"), containers.UserID)
	})},
}
