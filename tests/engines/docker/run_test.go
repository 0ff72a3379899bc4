package docker

import (
	"strings"

	"davit/tests/engines/lab"
)

// size prints a terminal's size, as soon as Docker has set it, which it does after the start.
const size = "until stty size 2>/dev/null | grep .; do sleep 0.02; done"

var runScenarios = []lab.Scenario{
	{Name: "run", Run: with(func(d docker) {
		out := d.out("-e", "GREETING=hello", "-w", "/tmp", "--", "sh", "-c", "echo $GREETING; pwd; id -u; echo $$; cat /proc/1/comm; true")
		d.Equal("output", out, "hello\n/tmp\n0\n1\nsh")
	})},
	{Name: "exit codes 0 7 125 126 127 137", Run: with(func(d docker) {
		d.end(0, "true")
		d.end(7, "sh", "-c", "exit 7")
		d.end(125, "--pids-limit", "x", "--", "true")
		d.Contains("126", d.end(126, "/etc/passwd").Stderr, "permission denied")
		d.Contains("127", d.end(127, "no-such-program").Stderr, "no-such-program", "executable file not found in $PATH")
		d.Contains("a missing path", d.end(127, "/no/such/program").Stderr, "no such file or directory")
		d.end(137, "sh", "-c", "kill -9 -1; exit 137")
		d.detached()
		d.docker("kill", d.ID)
		d.Equal("docker wait", d.docker("wait", d.ID), 137)
	})},
	{Name: "run refused by the runtime", Run: with(func(d docker) {
		d.end(0, "true")
		out := d.end(125, "--sysctl", "kernel.msgmax=words", "--", "true")
		d.Contains("error", out.Stderr, "kernel.msgmax")
	})},
	{Name: "run -i", Run: with(func(d docker) {
		out := d.RunWith(strings.NewReader("through a pipe"), d.run("--rm", "-i", "--", "cat")...)
		d.Equal("output", out.Stdout, "through a pipe")
	})},
	{Name: "run -it", Run: with(func(d docker) {
		term := d.Terminal(33, 77, d.run("--rm", "-it", "--", "sh", "-c", "tty; read x; "+size+"; echo got $x; exit 5")...)
		d.Eventually("the terminal's name", func() bool { return strings.Contains(term.Output(), "/dev/pts/0") })
		term.Type("words\n")
		d.Equal("exit status", term.Wait(), 5)
		d.Contains("output", term.Output(), "33 77", "got words")
	})},
	{Name: "a terminal's interrupt and window", Run: with(func(d docker) {
		term := d.Terminal(33, 77, d.run("--rm", "-it", "--", "sh", "-c", `trap "stty size; exit 44" INT; echo ready; while :; do sleep 0.02; done`)...)
		d.Eventually("the trap", func() bool { return strings.Contains(term.Output(), "ready") })
		if err := term.Resize(40, 100); err != nil {
			d.Fatalf("%v", err)
		}
		d.Eventually("the new size", func() bool { return strings.Contains(d.exec("stty", "-F", "/dev/console", "size"), "40 100") })
		term.Type("\x03")
		d.Equal("exit status", term.Wait(), 44)
		d.Contains("output", term.Output(), "40 100")
	})},
	{Name: "create, start -a", Run: with(func(d docker) {
		d.Cleanup(func() { d.docker("rm", "-f", d.ID) })
		d.docker("create", "--runtime", d.Runtime, "--name", d.ID, image, "sh", "-c", "echo once more; exit 3")
		for range 2 {
			d.Equal("output", d.Want(3, d.cmd("start", "-a", d.ID)...).Out(), "once more")
		}
	})},
	{Name: "logs", Run: with(func(d docker) {
		d.detached("--", "sh", "-c", "echo to stdout; echo to stderr >&2; sleep 1000")
		d.Eventually("both lines", func() bool {
			out := d.Run(d.cmd("logs", d.ID)...)
			return out.Stdout == "to stdout\n" && out.Stderr == "to stderr\n"
		})
	})},
	{Name: "logs -f", Run: with(func(d docker) {
		d.detached("--", "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done")
		d.Equal("output", d.docker("logs", "-f", d.ID), "1\n2\n3")
	})},
	{Name: "attach", Run: with(func(d docker) {
		d.detached("-it", "--", "sh", "-c", "while read x; do echo got $x; [ $x = end ] && exit 8; done")
		term := d.Terminal(30, 90, d.cmd("attach", d.ID)...)
		term.Type("one\n")
		d.Eventually("an answer", func() bool { return strings.Contains(term.Output(), "got one") })
		term.Type("end\n")
		d.Equal("exit status", term.Wait(), 8)
		d.Contains("output", term.Output(), "got end")
	})},
	{Name: "exec", Run: with(func(d docker) {
		d.detached()
		d.Equal("output", d.exec("-w", "/tmp", "-e", "GREETING=hello", "--", "sh", "-c", "pwd; echo $GREETING; cat /proc/1/comm"), "/tmp\nhello\nsleep")
		d.Equal("user", d.exec("-u", "alice", "--", "sh", "-c", "id -un; id -G"), "alice\n1000 50")
		d.Equal("ids", d.exec("-u", "1234:4321", "--", "sh", "-c", "id -u; id -g"), "1234\n4321")
		in := d.RunWith(strings.NewReader("through a pipe"), d.cmd("exec", "-i", d.ID, "cat")...)
		d.Equal("stdin", in.Stdout, "through a pipe")
	})},
	{Name: "exec exit codes", Run: with(func(d docker) {
		d.detached()
		d.Want(9, d.cmd("exec", d.ID, "sh", "-c", "exit 9")...)
		d.Want(137, d.cmd("exec", d.ID, "sh", "-c", "kill -9 $$")...)
		out := d.Want(126, d.cmd("exec", d.ID, "/etc/passwd")...)
		d.Contains("126", out.Stdout+out.Stderr, "permission denied")
		// Docker tells a missing program by the phrase.
		out = d.Run(d.cmd("exec", d.ID, "no-such-program")...)
		d.Contains("error", out.Stdout+out.Stderr, "no-such-program", "executable file not found in $PATH")
		if out.Code != 126 && out.Code != 127 {
			d.Fatalf("%v", out)
		}
	})},
	{Name: "exec -it", Run: with(func(d docker) {
		d.detached()
		term := d.Terminal(30, 90, d.cmd("exec", "-it", "-u", "alice", d.ID, "sh", "-c", "tty; read x; "+size+"; id -un; exit 6")...)
		d.Eventually("the terminal's name", func() bool { return strings.Contains(term.Output(), "/dev/pts/0") })
		term.Type("words\n")
		d.Equal("exit status", term.Wait(), 6)
		d.Contains("output", term.Output(), "30 90", "alice")
	})},
	{Name: "exec -d", Run: with(func(d docker) {
		d.detached()
		d.exec("-d", "--", "touch", "/tmp/made")
		d.Eventually("the file", func() bool { return d.Run(d.cmd("exec", d.ID, "test", "-e", "/tmp/made")...).Code == 0 })
	})},
	{Name: "exec --privileged", Excuse: "root lacks CAP_SYS_RESOURCE on this machine", Run: with(func(d docker) {
		d.detached()
		d.Contains("capabilities", d.exec("--privileged", "--", "grep", "CapEff", "/proc/self/status"), "000001ffffffffff")
	})},
	{Name: "cp", Run: with(func(d docker) {
		d.detached()
		file := d.Write(d.ID+"/file", "of the host", 0o644)
		d.docker("cp", file, d.ID+":/tmp/file")
		d.Equal("content", d.exec("cat", "/tmp/file"), "of the host")
		d.exec("sh", "-c", "echo of the container >/tmp/back")
		d.docker("cp", d.ID+":/tmp/back", d.Path(d.ID, "back"))
		d.Equal("content", d.Must("cat", d.Path(d.ID, "back")), "of the container")
	})},
	{Name: "top", Run: with(func(d docker) {
		d.detached("--", "sh", "-c", "sleep 999 & wait")
		d.Eventually("both processes", func() bool {
			out := d.docker("top", d.ID)
			return strings.Contains(out, "sleep 999") && strings.Contains(out, "sh -c")
		})
	})},
	{Name: "stats", Run: with(func(d docker) {
		d.Needs("memory")
		d.detached("--memory", "64m", "--", "sh", "-c", "while :; do :; done")
		out := d.docker("stats", "--no-stream", "--format", "{{.MemUsage}} {{.CPUPerc}} {{.PIDs}}", d.ID)
		d.Contains("stats", out, "/ 64MiB")
		f := strings.Fields(out)
		if len(f) != 5 || f[3] == "0.00%" || f[4] != "1" {
			d.Fatalf("stats are %q", out)
		}
	})},
	{Name: "diff, commit, export", Run: with(func(d docker) {
		d.detached()
		d.exec("sh", "-c", "echo kept >/root/file")
		d.Contains("diff", d.docker("diff", d.ID), "A /root/file")
		tag := "davit.test/" + d.ID
		d.Cleanup(func() { d.docker("rmi", tag) })
		d.docker("commit", d.ID, tag)
		d.Equal("content", d.docker("run", "--rm", "--runtime", d.Runtime, tag, "cat", "/root/file"), "kept")
		d.docker("export", "-o", d.Path(d.ID+".tar"), d.ID)
		d.Contains("archive", d.Must("tar", "-tf", d.Path(d.ID+".tar")), "root/file")
	})},
}
