package dockercli

import "strings"

var isolationScenarios = []Scenario{
	{Name: "--read-only --tmpfs", Run: func(c C) {
		out := c.Out("--read-only", "--tmpfs", "/scratch:size=1m,mode=1777", "--", "sh", "-c", "touch /x 2>&1; touch /scratch/x && ls /scratch; df -k /scratch; touch /tmp/x 2>/dev/null && echo writable; true")
		c.Contains("output", out, "Read-only file system", "\nx\n", " 1024 ")
		c.Equal("/tmp is writable", strings.Contains(out, "writable"), c.WritableTmp)
	}},
	{Name: "-v :ro, volumes, --mount", Run: func(c C) {
		c.Write("tmp/"+c.ID+"/file", "of the host", 0o644)
		dir := c.Path("tmp", c.ID)
		c.Must("chmod", "777", dir)
		volume := c.ID + "-volume"
		c.Cleanup(func() { c.Do("volume", "rm", volume) })
		out := c.Out("-v", dir+":/ro:ro", "-v", dir+":/rw", "-v", volume+":/volume", "--mount", "type=bind,src="+dir+",dst=/bound,readonly", "--mount", "type=tmpfs,dst=/scratch,tmpfs-size=1m",
			"--", "sh", "-c", "cat /ro/file; echo; touch /ro/x 2>&1; touch /bound/x 2>&1; touch /rw/made; echo kept >/volume/file; df -k /scratch")
		c.Contains("output", out, "of the host", "touch: /ro/x: Read-only file system", "touch: /bound/x: Read-only file system", " 1024 ")
		c.Must("test", "-e", dir+"/made")
		c.Equal("the volume", c.Out("-v", volume+":/volume:ro", "--", "cat", "/volume/file"), "kept")
	}},
	{Name: "-v with propagation", Run: func(c C) {
		dir := c.Path("tmp", c.ID)
		c.Must("mkdir", dir)
		c.Start("-v", dir+":/shared:rshared", "-v", dir+":/slave:rslave", "--cap-add", "SYS_ADMIN")
		c.Must("sh", "-c", "mkdir "+dir+"/sub && mount -t tmpfs none "+dir+"/sub && touch "+dir+"/sub/from-outside")
		c.Cleanup(func() { c.Must("umount", dir+"/sub") })
		c.Contains("content", c.Exec("ls", "/shared/sub", "/slave/sub"), "/shared/sub:\nfrom-outside", "/slave/sub:\nfrom-outside")
	}},
	{Name: "--volumes-from", Run: func(c C) {
		c.Start("-v", "/data", "--", "sh", "-c", "echo shared >/data/file; sleep 1000")
		c.Eventually("the file", func() bool { return c.Made("/data/file") })
		c.Equal("content", c.Other("--volumes-from", c.ID, "--", "cat", "/data/file"), "shared")
	}},
	{Name: "--hostname --add-host", Run: func(c C) {
		out := c.Out("--hostname", "ship", "--add-host", "harbour:10.1.2.3", "--", "sh", "-c", "hostname; cat /etc/hosts")
		c.Contains("output", out, "ship\n", "10.1.2.3\tharbour")
	}},
	{Name: "--domainname", Run: func(c C) {
		c.Equal("name", c.Out("--domainname", "example.org", "--", "cat", "/proc/sys/kernel/domainname"), "example.org")
	}},
	{Name: "--dns", Run: func(c C) {
		c.Contains("resolv.conf", c.Out("--network", "host", "--dns", "10.9.8.7", "--", "cat", "/etc/resolv.conf"), "nameserver 10.9.8.7")
	}},
	{Name: "--pid --uts host", Run: func(c C) {
		links := []string{"sh", "-c", "for n in pid uts; do readlink /proc/self/ns/$n; done"}
		c.Equal("namespaces", c.Out(append([]string{"--pid", "host", "--uts", "host", "--"}, links...)...), c.Must(links...))
	}},
	{Name: "--ipc host", Run: func(c C) {
		link := []string{"readlink", "/proc/self/ns/ipc"}
		c.Equal("namespace", c.Out(append([]string{"--ipc", "host", "--"}, link...)...), c.Must(link...))
	}},
	{Name: "--pid --ipc --network container:", Run: func(c C) {
		c.Start("--ipc", "shareable", "--", "sleep", "999")
		links := []string{"sh", "-c", "for n in pid ipc net; do readlink /proc/self/ns/$n; done"}
		join := []string{"--pid", "container:" + c.ID, "--ipc", "container:" + c.ID, "--network", "container:" + c.ID, "--"}
		c.Equal("namespaces", c.Other(append(join, links...)...), c.Exec(links...))
	}},
}
