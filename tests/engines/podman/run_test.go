package podman

import (
	"slices"
	"strings"

	"davit/tests/engines/containers"
	"davit/tests/engines/lab"
)

// size prints a terminal's size, as soon as conmon has set it, which it does after the start.
const size = "until stty size 2>/dev/null | grep -v '^0 0'; do sleep 0.02; done"

var runScenarios = []lab.Scenario{
	{Name: "run", Run: with(func(p podman) {
		out := p.out("-e", "GREETING=hello", "-w", "/tmp", "--", "sh", "-c", "echo $GREETING; pwd; id -u; echo $$; cat /proc/1/comm; true")
		p.Equal("output", out, "hello\n/tmp\n0\n1\nsh")
	})},
	{Name: "exit codes 0 7 125 126 127 137", Run: with(func(p podman) {
		p.end(0, "true")
		p.end(7, "sh", "-c", "exit 7")
		p.end(125, "--pids-limit", "x", "--", "true")
		p.Contains("126", p.end(126, "/etc/passwd").Stderr, "ermission denied")
		p.Contains("127", p.end(127, "no-such-program").Stderr, "no-such-program", "not found in $PATH")
		p.Contains("a missing path", p.end(127, "/no/such/program").Stderr, "o such file or directory")
		p.detached()
		p.podman("kill", p.ID)
		p.Equal("podman wait", p.podman("wait", p.ID), 137)
	})},
	{Name: "run refused by the runtime", Run: with(func(p podman) {
		p.end(0, "true")
		p.Contains("error", p.end(126, "--sysctl", "kernel.msgmax=words", "--", "true").Stderr, "kernel.msgmax")
	})},
	{Name: "run -i", Run: with(func(p podman) {
		out := p.RunWith(strings.NewReader("through a pipe"), p.run("--rm", "-i", "--", "cat")...)
		p.Equal("output", out.Stdout, "through a pipe")
	})},
	{Name: "run -it", Excuse: containers.NoTerminals, Run: with(func(p podman) {
		term := p.Terminal(33, 77, p.run("--rm", "-it", "--", "sh", "-c", "tty; read x; "+size+"; echo got $x; exit 5")...)
		containers.Shows(p.S, term, "/dev/pts/0")
		term.Type("words\n")
		p.Equal("exit status", term.Wait(), 5)
		p.Contains("output", term.Output(), "33 77", "got words")
	})},
	{Name: "a terminal's interrupt and window", Excuse: containers.NoTerminals, Run: with(func(p podman) {
		term := p.Terminal(33, 77, p.run("--rm", "-it", "--", "sh", "-c", `trap "stty size; exit 44" INT; echo ready; while :; do sleep 0.02; done`)...)
		containers.Shows(p.S, term, "ready")
		if err := term.Resize(40, 100); err != nil {
			p.Fatalf("%v", err)
		}
		p.Eventually("the new size", func() bool { return strings.Contains(p.exec("stty", "-F", "/dev/console", "size"), "40 100") })
		term.Type("\x03")
		p.Equal("exit status", term.Wait(), 44)
		p.Contains("output", term.Output(), "40 100")
	})},
	{Name: "create, start -a", Run: with(func(p podman) {
		p.Cleanup(func() { p.podman("rm", "-f", p.ID) })
		p.Must(p.line("create", p.ID, "sh", "-c", "echo once more; exit 3")...)
		for range 2 {
			p.Equal("output", p.Want(3, p.cmd("start", "-a", p.ID)...).Out(), "once more")
		}
	})},
	{Name: "logs", Run: with(func(p podman) {
		p.detached("--", "sh", "-c", "echo to stdout; echo to stderr >&2; sleep 1000")
		p.Eventually("both lines", func() bool {
			out := p.Run(p.cmd("logs", p.ID)...)
			return out.Stdout == "to stdout\n" && out.Stderr == "to stderr\n"
		})
	})},
	{Name: "attach", Excuse: containers.NoTerminals, Run: with(func(p podman) {
		p.detached("-it", "--", "sh", "-c", "while read x; do echo got $x; [ $x = end ] && exit 8; done")
		term := p.Terminal(30, 90, p.cmd("attach", p.ID)...)
		term.Type("one\n")
		containers.Shows(p.S, term, "got one")
		term.Type("end\n")
		term.Wait() // with 0, whatever the runtime: Podman 4.3 asks too early
		p.Contains("output", term.Output(), "got end")
		p.Equal("exit status", p.podman("wait", p.ID), 8)
	})},
	{Name: "run --preserve-fds", Run: with(func(p podman) {
		file := p.Write(p.ID+"/file", "by descriptor", 0o644)
		line := p.run("--rm", "--preserve-fds", "1", "--", "sh", "-c", "cat <&3; [ ! -e /proc/self/fd/4 ] && echo :alone")
		p.Equal("output", p.Must(append([]string{"sh", "-c", `exec 3<"$0"; exec "$@"`, file}, line...)...), "by descriptor:alone")
	})},
	{Name: "exec", Run: with(func(p podman) {
		p.detached()
		p.Equal("output", p.exec("-w", "/tmp", "-e", "GREETING=hello", "--", "sh", "-c", "pwd; echo $GREETING; cat /proc/1/comm"), "/tmp\nhello\nsleep")
		p.Equal("user", p.exec("-u", "alice", "--", "sh", "-c", "id -un; id -G"), "alice\n1000 50")
		p.Equal("ids", p.exec("-u", "1234:4321", "--", "sh", "-c", "id -u; id -g"), "1234\n4321")
		in := p.RunWith(strings.NewReader("through a pipe"), p.cmd("exec", "-i", p.ID, "cat")...)
		p.Equal("stdin", in.Stdout, "through a pipe")
	})},
	{Name: "exec exit codes", Run: with(func(p podman) {
		p.detached()
		p.Want(9, p.cmd("exec", p.ID, "sh", "-c", "exit 9")...)
		p.Want(137, p.cmd("exec", p.ID, "sh", "-c", "kill -9 $$")...)
		p.Contains("126", p.Want(126, p.cmd("exec", p.ID, "/etc/passwd")...).Stderr, "ermission denied")
		p.Contains("127", p.Want(127, p.cmd("exec", p.ID, "no-such-program")...).Stderr, "no-such-program", "not found in $PATH")
	})},
	{Name: "exec -it", Excuse: containers.NoTerminals, Run: with(func(p podman) {
		p.detached()
		term := p.Terminal(30, 90, p.cmd("exec", "-it", "-u", "alice", p.ID, "sh", "-c", "tty; read x; "+size+"; id -un; exit 6")...)
		containers.Shows(p.S, term, "/dev/pts/")
		term.Type("words\n")
		p.Equal("exit status", term.Wait(), 6)
		p.Contains("output", term.Output(), "30 90", "alice")
	})},
	{Name: "exec -d", Run: with(func(p podman) {
		p.detached()
		p.exec("-d", "--", "touch", "/tmp/made")
		p.Eventually("the file", func() bool { return p.made("/tmp/made") })
	})},
	{Name: "exec --preserve-fds", Run: with(func(p podman) {
		p.detached()
		file := p.Write(p.ID+"/file", "by descriptor", 0o644)
		line := p.cmd("exec", "--preserve-fds", "1", p.ID, "sh", "-c", "cat <&3; [ ! -e /proc/self/fd/4 ] && echo :alone")
		p.Equal("output", p.Must(append([]string{"sh", "-c", `exec 3<"$0"; exec "$@"`, file}, line...)...), "by descriptor:alone")
	})},
	{Name: "exec --privileged", Excuse: "root lacks CAP_SYS_RESOURCE on this machine", Run: with(func(p podman) {
		p.detached()
		p.Contains("capabilities", p.exec("--privileged", "--", "grep", "CapEff", "/proc/self/status"), "000001ffffffffff")
	})},
	{Name: "cp", Run: with(func(p podman) {
		p.detached()
		file := p.Write(p.ID+"/file", "of the host", 0o644)
		p.podman("cp", file, p.ID+":/tmp/file")
		p.Equal("content", p.exec("cat", "/tmp/file"), "of the host")
		p.exec("sh", "-c", "echo of the container >/tmp/back")
		back := p.Path("tmp", p.ID+"-back")
		p.podman("cp", p.ID+":/tmp/back", back)
		p.Equal("content", p.Must("cat", back), "of the container")
	})},
	{Name: "top", Run: with(func(p podman) {
		p.detached("--", "sh", "-c", "sleep 999 & wait")
		p.Eventually("both processes", func() bool {
			out := p.podman("top", p.ID)
			return strings.Contains(out, "sleep 999") && strings.Contains(out, "sh -c")
		})
	})},
	{Name: "diff, commit, export", Run: with(func(p podman) {
		p.detached()
		p.exec("sh", "-c", "echo kept >/root/file")
		p.Contains("diff", p.podman("diff", p.ID), "A /root/file")
		tag := "davit.test/" + p.ID
		p.Cleanup(func() { p.podman("rmi", tag) })
		p.podman("commit", "-q", p.ID, tag)
		line := p.line("run", p.ID+"-of-it", "--rm", "--", "cat", "/root/file")
		line[slices.Index(line, image)] = tag
		p.Equal("content", p.Must(line...), "kept")
		archive := p.Path("tmp", p.ID+".tar")
		p.podman("export", "-o", archive, p.ID)
		p.Contains("archive", p.Must("tar", "-tf", archive), "root/file")
	})},
	{Name: "run --rootfs", Run: with(func(p podman) {
		dir := p.Path("tmp", p.ID+"-rootfs")
		p.Must("sh", "-e", "-c", "mkdir "+dir+"; tar -C "+dir+" -xf "+p.Rootfs())
		if p.rootless() {
			p.Must("chown", "-R", containers.UserID+":"+containers.UserID, dir)
		}
		p.Equal("output", p.out("--rootfs", dir, "--", "/bin/sh", "-c", "echo here >/made; id -u"), "0")
		p.Equal("content", p.Must("cat", dir+"/made"), "here")
	})},
}
