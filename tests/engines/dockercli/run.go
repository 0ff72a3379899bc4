package dockercli

import "strings"

// size prints a terminal's size, as soon as the engine has set it, which it does after the start.
const size = "until stty size 2>/dev/null | grep -v '^0 0'; do sleep 0.02; done"

var runScenarios = []Scenario{
	{Name: "run", Run: func(c C) {
		out := c.Out("-e", "GREETING=hello", "-w", "/tmp", "--", "sh", "-c", "echo $GREETING; pwd; id -u; echo $$; cat /proc/1/comm; true")
		c.Equal("output", out, "hello\n/tmp\n0\n1\nsh")
	}},
	{Name: "exit codes 0 7 125 126 127 137", Run: func(c C) {
		c.End(0, "true")
		c.End(7, "sh", "-c", "exit 7")
		c.End(125, "--pids-limit", "x", "--", "true")
		c.Contains("126", c.End(126, "/etc/passwd").Stderr, "ermission denied")
		c.Contains("127", c.End(127, "no-such-program").Stderr, "no-such-program", "executable file not found in $PATH")
		c.Contains("a missing path", c.End(127, "/no/such/program").Stderr, "no such file or directory")
		c.End(137, "sh", "-c", "kill -9 -1; exit 137")
		c.Start()
		c.Do("kill", c.ID)
		c.Equal("wait", c.Do("wait", c.ID), 137)
	}},
	{Name: "run refused by the runtime", Run: func(c C) {
		c.End(0, "true")
		out := c.End(c.Refused, "--sysctl", "kernel.msgmax=words", "--", "true")
		c.Contains("error", out.Stderr, "msgmax")
	}},
	{Name: "run -i", Run: func(c C) {
		out := c.RunWith(strings.NewReader("through a pipe"), c.RunLine("--rm", "-i", "--", "cat")...)
		c.Equal("output", out.Stdout, "through a pipe")
	}},
	{Name: "run -it", Run: func(c C) {
		term := c.Terminal(33, 77, c.RunLine("--rm", "-it", "--", "sh", "-c", "tty; read x; "+size+"; echo got $x; exit 5")...)
		c.Shows(term, "/dev/pts/0")
		term.Type("words\n")
		c.Equal("exit status", term.Wait(), 5)
		c.Contains("output", term.Output(), "33 77", "got words")
	}},
	{Name: "a terminal's interrupt and window", Run: func(c C) {
		term := c.Terminal(33, 77, c.RunLine("--rm", "-it", "--", "sh", "-c", `trap "stty size; exit 44" INT; echo ready; while :; do sleep 0.02; done`)...)
		c.Shows(term, "ready")
		// A client may not listen for SIGWINCH yet when the container's first words are shown: docker's starts with that last.
		c.Eventually("the new size", func() bool {
			for _, columns := range []uint16{99, 100} {
				if err := term.Resize(40, columns); err != nil {
					c.Fatalf("%v", err)
				}
			}
			return strings.Contains(c.Exec("stty", "-F", "/dev/console", "size"), "40 100")
		})
		term.Type("\x03")
		c.Equal("exit status", term.Wait(), 44)
		c.Contains("output", term.Output(), "40 100")
	}},
	{Name: "create, start -a", Run: func(c C) {
		c.Cleanup(func() { c.Do("rm", "-f", c.ID) })
		c.Must(c.Make("create", c.ID, "sh", "-c", "echo once more; exit 3")...)
		for range 2 {
			c.Equal("output", c.Want(3, c.Line("start", "-a", c.ID)...).Out(), "once more")
		}
	}},
	{Name: "logs", Run: func(c C) {
		c.Start("--", "sh", "-c", "echo to stdout; echo to stderr >&2; sleep 1000")
		c.Eventually("both lines", func() bool {
			out := c.Run(c.Line("logs", c.ID)...)
			return out.Stdout == "to stdout\n" && out.Stderr == "to stderr\n"
		})
	}},
	{Name: "logs -f", Run: func(c C) {
		c.Start("--", "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done")
		c.Equal("output", c.Do("logs", "-f", c.ID), "1\n2\n3")
	}},
	{Name: "attach", Run: func(c C) {
		c.Start("-it", "--", "sh", "-c", "while read x; do echo got $x; [ $x = end ] && exit 8; done")
		term := c.Terminal(30, 90, c.Line("attach", c.ID)...)
		term.Type("one\n")
		c.Shows(term, "got one")
		term.Type("end\n")
		if status := term.Wait(); c.AttachStatus {
			c.Equal("exit status", status, 8)
		}
		c.Contains("output", term.Output(), "got end")
		c.Equal("exit status", c.Do("wait", c.ID), 8)
	}},
	{Name: "cp", Run: func(c C) {
		c.Start()
		file := c.Write("tmp/"+c.ID+"/file", "of the host", 0o644)
		c.Do("cp", file, c.ID+":/tmp/file")
		c.Equal("content", c.Exec("cat", "/tmp/file"), "of the host")
		c.Exec("sh", "-c", "echo of the container >/tmp/back")
		back := c.Path("tmp", c.ID+"-back")
		c.Do("cp", c.ID+":/tmp/back", back)
		c.Equal("content", c.Must("cat", back), "of the container")
	}},
	{Name: "top", Run: func(c C) {
		c.Start("--", "sh", "-c", "sleep 999 & wait")
		c.Eventually("both processes", func() bool {
			out := c.Do("top", c.ID)
			return strings.Contains(out, "sleep 999") && strings.Contains(out, "sh -c")
		})
	}},
	{Name: "stats", Run: func(c C) {
		c.Needs("memory")
		c.Start("--memory", "64m", "--", "sh", "-c", "while :; do :; done")
		out := c.Do("stats", "--no-stream", "--format", "{{.MemUsage}} {{.CPUPerc}} {{."+c.PidsColumn+"}}", c.ID)
		c.Contains("stats", out, "/ "+c.MemoryOf64m)
		f := strings.Fields(out)
		if len(f) != 5 || f[3] == "0.00%" || f[4] != "1" {
			c.Fatalf("stats are %q", out)
		}
	}},
}
