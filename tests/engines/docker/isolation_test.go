package docker

import (
	"strings"

	"davit/tests/engines/lab"
)

var isolationScenarios = []lab.Scenario{
	{Name: "--read-only --tmpfs", Run: with(func(d docker) {
		out := d.out("--read-only", "--tmpfs", "/scratch:size=1m,mode=1777", "--", "sh", "-c", "touch /x 2>&1; touch /scratch/x && ls /scratch; df -k /scratch")
		d.Contains("output", out, "Read-only file system", "\nx\n", " 1024 ")
	})},
	{Name: "--init", Run: with(func(d docker) {
		d.Contains("processes", d.out("--init", "--", "ps"), "1 root     /sbin/docker-init -- ps")
	})},
	{Name: "--cap-add --cap-drop", Run: with(func(d docker) {
		d.Contains("by default", d.out("grep", "CapEff", "/proc/self/status"), "00000000a80425fb")
		d.Contains("only one", d.out("--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE", "--", "grep", "CapEff", "/proc/self/status"), "0000000000000400")
		d.Contains("two more", d.out("--cap-add", "SYS_ADMIN", "--cap-add", "SYS_TIME", "--", "grep", "CapEff", "/proc/self/status"), "00000000aa2425fb")
	})},
	{Name: "--privileged", Excuse: "root lacks CAP_SYS_RESOURCE on this machine", Run: with(func(d docker) {
		d.Contains("capabilities", d.out("--privileged", "--", "grep", "CapEff", "/proc/self/status"), "000001ffffffffff")
	})},
	{Name: "--security-opt no-new-privileges", Run: with(func(d docker) {
		d.Contains("status", d.out("--security-opt", "no-new-privileges", "--", "grep", "NoNewPrivs", "/proc/self/status"), "\t1")
		d.Contains("status", d.out("grep", "NoNewPrivs", "/proc/self/status"), "\t0")
	})},
	{Name: "--security-opt seccomp", Run: with(func(d docker) {
		d.Contains("by default", d.out("sh", "-c", "grep Seccomp: /proc/self/status; unshare -U true 2>&1; true"), "Seccomp:\t2", "Operation not permitted")
		d.Contains("unconfined", d.out("--security-opt", "seccomp=unconfined", "--", "sh", "-c", "grep Seccomp: /proc/self/status; unshare -U echo free"), "Seccomp:\t0", "free")
		profile := d.Write(d.ID+"/profile.json", `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}`, 0o644)
		d.Contains("a profile", d.out("--security-opt", "seccomp="+profile, "--", "sh", "-c", "mkdir /tmp/x 2>&1; true"), "Operation not supported")
	})},
	{Name: "--security-opt systempaths=unconfined", Run: with(func(d docker) {
		masked := "mount | grep -c ' on /proc/'; true"
		if d.out("sh", "-c", masked) == "0" {
			d.Fatalf("nothing is masked by default")
		}
		d.Equal("masks", d.out("--security-opt", "systempaths=unconfined", "--", "sh", "-c", masked), "0")
	})},
	{Name: "-v :ro, volumes, --mount", Run: with(func(d docker) {
		d.Write(d.ID+"/file", "of the host", 0o644)
		dir := d.Path(d.ID)
		volume := d.ID + "-volume"
		d.Cleanup(func() { d.docker("volume", "rm", volume) })
		out := d.out("-v", dir+":/ro:ro", "-v", dir+":/rw", "-v", volume+":/volume", "--mount", "type=bind,src="+dir+",dst=/bound,readonly", "--mount", "type=tmpfs,dst=/scratch,tmpfs-size=1m",
			"--", "sh", "-c", "cat /ro/file; echo; touch /ro/x 2>&1; touch /bound/x 2>&1; touch /rw/made; echo kept >/volume/file; df -k /scratch")
		d.Contains("output", out, "of the host", "touch: /ro/x: Read-only file system", "touch: /bound/x: Read-only file system", " 1024 ")
		d.Must("test", "-e", d.Path(d.ID, "made"))
		d.Equal("the volume", d.out("-v", volume+":/volume:ro", "--", "cat", "/volume/file"), "kept")
	})},
	{Name: "-v with propagation", Run: with(func(d docker) {
		dir := d.Path(d.ID)
		d.Must("mkdir", dir)
		d.detached("-v", dir+":/shared:rshared", "-v", dir+":/slave:rslave", "--cap-add", "SYS_ADMIN")
		d.Must("sh", "-c", "mkdir "+dir+"/sub && mount -t tmpfs none "+dir+"/sub && touch "+dir+"/sub/from-outside")
		d.Cleanup(func() { d.Must("umount", dir+"/sub") })
		d.Contains("content", d.exec("ls", "/shared/sub", "/slave/sub"), "/shared/sub:\nfrom-outside", "/slave/sub:\nfrom-outside")
	})},
	{Name: "--volumes-from", Run: with(func(d docker) {
		d.detached("-v", "/data", "--", "sh", "-c", "echo shared >/data/file; sleep 1000")
		d.Eventually("the file", func() bool { return d.Run(d.cmd("exec", d.ID, "test", "-e", "/data/file")...).Code == 0 })
		d.Equal("content", d.docker("run", "--rm", "--runtime", d.Runtime, "--volumes-from", d.ID, image, "cat", "/data/file"), "shared")
	})},
	{Name: "--user --group-add", Run: with(func(d docker) {
		d.Equal("a name", d.out("--user", "alice", "--", "sh", "-c", "id -un; id -G; echo $HOME"), "alice\n1000 50\n/home/alice")
		d.Equal("ids", d.out("--user", "1234:4321", "--group-add", "77", "--", "sh", "-c", "id -u; id -G"), "1234\n4321 77")
	})},
	{Name: "--hostname --domainname --add-host --dns", Run: with(func(d docker) {
		out := d.out("--hostname", "ship", "--domainname", "example.org", "--add-host", "harbour:10.1.2.3", "--dns", "10.9.8.7", "--", "sh", "-c", "hostname; cat /proc/sys/kernel/domainname /etc/hosts /etc/resolv.conf")
		d.Contains("output", out, "ship\n", "example.org\n", "10.1.2.3\tharbour", "nameserver 10.9.8.7")
	})},
	{Name: "--sysctl", Run: with(func(d docker) {
		out := d.out("--sysctl", "net.ipv4.ip_unprivileged_port_start=80", "--sysctl", "kernel.msgmax=9000", "--", "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start", "/proc/sys/kernel/msgmax")
		d.Equal("values", out, "80\n9000")
	})},
	{Name: "--device", Run: with(func(d docker) {
		out := d.out("--device", "/dev/loop-control:/dev/mine:r", "--", "sh", "-c", "stat -c '%t:%T' /dev/mine; exec 3</dev/mine && echo readable; (exec 3>/dev/mine) 2>&1; true")
		d.Contains("output", out, "a:ed", "readable", "Operation not permitted")
	})},
	{Name: "--device-cgroup-rule", Run: with(func(d docker) {
		open := []string{"sh", "-c", "(mknod /tmp/control c 10 237 && exec 3</tmp/control && echo open) 2>&1; true"}
		d.Contains("without", d.out(open...), "Operation not permitted")
		d.Contains("with", d.out(append([]string{"--device-cgroup-rule", "c 10:237 rwm", "--"}, open...)...), "open")
	})},
	{Name: "--pid --ipc --uts host", Run: with(func(d docker) {
		links := []string{"sh", "-c", "for n in pid ipc uts; do readlink /proc/self/ns/$n; done"}
		d.Equal("namespaces", d.out(append([]string{"--pid", "host", "--ipc", "host", "--uts", "host", "--"}, links...)...), d.Must(links...))
	})},
	{Name: "--pid --ipc --network container:", Run: with(func(d docker) {
		d.detached("--ipc", "shareable", "--", "sleep", "999")
		links := []string{"sh", "-c", "for n in pid ipc net; do readlink /proc/self/ns/$n; done"}
		other := d.docker(append([]string{"run", "--rm", "--runtime", d.Runtime, "--pid", "container:" + d.ID, "--ipc", "container:" + d.ID, "--network", "container:" + d.ID, image}, links...)...)
		d.Equal("namespaces", other, d.exec(links...))
	})},
	{Name: "default masks", Run: with(func(d docker) {
		out := d.out("sh", "-c", "cat /proc/keys | wc -c; (echo x >/proc/sys/kernel/msgmax) 2>&1; ls /sys/firmware | wc -l; (echo x >/sys/kernel/profiling) 2>&1; true")
		lines := strings.Split(out, "\n")
		d.Equal("/proc/keys", lines[0], "0")
		d.Contains("output", out, "/proc/sys/kernel/msgmax: Read-only file system", "/sys/kernel/profiling: Read-only file system")
	})},
}
