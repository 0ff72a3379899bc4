package dockercli

import (
	"strings"

	"davit/tests/engines/lab"
)

var execScenarios = []Scenario{
	{Name: "exec", Run: func(c C) {
		c.Start()
		c.Equal("output", c.Exec("-w", "/tmp", "-e", "GREETING=hello", "--", "sh", "-c", "pwd; echo $GREETING; cat /proc/1/comm"), "/tmp\nhello\nsleep")
		c.Equal("user", c.Exec("-u", "alice", "--", "sh", "-c", "id -un; id -G"), "alice\n1000 50")
		c.Equal("ids", c.Exec("-u", "1234:4321", "--", "sh", "-c", "id -u; id -g"), "1234\n4321")
		in := c.RunWith(strings.NewReader("through a pipe"), c.ExecLine("-i", "--", "cat")...)
		c.Equal("stdin", in.Stdout, "through a pipe")
	}},
	{Name: "exec exit codes", Run: func(c C) {
		c.Start()
		c.Want(9, c.ExecLine("sh", "-c", "exit 9")...)
		c.Want(137, c.ExecLine("sh", "-c", "kill -9 $$")...)
		out := c.Want(126, c.ExecLine("/etc/passwd")...)
		c.Contains("126", out.Stdout+out.Stderr, "ermission denied")
		// The engines tell a missing program by the phrase.
		out = c.Run(c.ExecLine("no-such-program")...)
		c.Contains("error", out.Stdout+out.Stderr, "no-such-program", "executable file not found in $PATH")
		c.Equal("exit status for a missing program", out.Code, c.ExecMissing)
	}},
	{Name: "exec -it -u -w -e", Run: func(c C) {
		c.Start()
		term := c.Terminal(30, 90, c.ExecLine("-it", "-u", "alice", "-w", "/tmp", "-e", "GREETING=hello", "--",
			"sh", "-c", "tty; read x; "+size+"; id -un; pwd; echo $GREETING $x; exit 6")...)
		c.Shows(term, "/dev/pts/")
		term.Type("words\n")
		c.Equal("exit status", term.Wait(), 6)
		c.Contains("output", term.Output(), "30 90", "alice\r\n/tmp\r\nhello words")
	}},
	{Name: "exec -d", Run: func(c C) {
		c.Start()
		c.Exec("-d", "--", "touch", "/tmp/made")
		c.Eventually("the file", func() bool { return c.Made("/tmp/made") })
	}},
	{Name: "exec --privileged", Excuse: lab.NoResource, Run: func(c C) {
		c.Start()
		c.Contains("capabilities", c.Exec("--privileged", "--", "grep", "CapEff", "/proc/self/status"), "000001ffffffffff")
	}},
}
