package lab

import (
	"strings"
	"testing"
)

func TestReason(t *testing.T) {
	quote := func(stdout, stderr string) string {
		return "expected exit status 0: " + Output{Args: []string{"docker", "run", "--name", "s41r"}, Stdout: stdout, Stderr: stderr, Code: 125}.String()
	}
	for _, c := range []struct{ text, want string }{
		{`capabilities lacks "000001ffffffffff":` + "\nCapEff:\t000001fffeffffff", `capabilities lacks "000001ffffffffff": CapEff: 000001fffeffffff`},
		{
			quote("", "docker: Error response from daemon: failed to create shim task: OCI runtime create failed: davit create failed: process.rlimits[0] (RLIMIT_NOFILE): setrlimit: operation not permitted: unknown.\n"),
			"process.rlimits[0] (RLIMIT_NOFILE): setrlimit: operation not permitted",
		},
		{
			quote("OCI runtime exec failed: exec failed: unable to start container process: unable to apply caps: operation not permitted: unknown\n", ""),
			"unable to apply caps: operation not permitted",
		},
		{
			quote("", `time="2026-11-21T08:22:46Z" level=error msg="Starting some container dependencies"`+"\n"+
				`time="2026-11-21T08:22:46Z" level=error msg="\"davit: davit create failed: linux.devices (/dev/null, a default one): mknod: operation not permitted: OCI permission denied\""`+"\n"+
				"Error: starting some containers: internal libpod error\n"),
			"linux.devices (/dev/null, a default one): mknod: operation not permitted",
		},
		{quote("", "Error: no container 0123456789ab in /tmp/davit-engines-77-3/storage"), "Error: no container ID in DIR/storage"},
		{strings.Repeat("word ", 50), strings.TrimSpace(strings.Repeat("word ", 32)) + " …"},
	} {
		if got := reason(c.text); got != c.want {
			t.Errorf("%s\nbecame %q\nexpected %q", c.text, got, c.want)
		}
	}
}
