package cli

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestPrintProcesses(t *testing.T) {
	for _, tt := range []struct {
		name, table string
		pids        []int
		want, err   string
	}{
		{"by column", "UID   PID  PPID CMD\nroot    1     0 init\nroot   12     1 sleep 1\n", []int{12}, "UID   PID  PPID CMD\nroot   12     1 sleep 1\n", ""},
		{"not by another column", "PPID PID\n 12 13\n", []int{12}, "PPID PID\n", ""},
		{"threads", "  PID  LWP\n  7  7\n  7  8\n  9  9\n", []int{7}, "  PID  LWP\n  7  7\n  7  8\n", ""},
		{"warning first", "Warning: bad syntax\nPID CMD\n3 a\n\n", []int{3}, "PID CMD\n3 a\n", ""},
		{"no pid column", "CMD\ninit\n", []int{1}, "", "couldn't find PID field in ps output"},
		{"nothing", "", nil, "", "couldn't find PID field in ps output"},
		{"blanks before", "STARTED PID\nMon Aug 3 12\n", []int{12}, "STARTED PID\n", "put the pid before columns with blanks"},
		{"short line", "A PID\nx\n", []int{12}, "A PID\n", "without a pid"},
	} {
		var b bytes.Buffer
		err := printProcesses(&b, tt.table, tt.pids)
		if b.String() != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %q, %v", tt.name, b.String(), err)
		}
	}
}

func TestPS(t *testing.T) {
	e := newEngine(t)
	e.start("c", "busybox sleep 1000 & busybox sleep 2000 & wait")
	var pids []int
	eventually(t, "three processes", func() bool {
		out := e.must("ps", "--format", "json", "c")
		if strings.HasPrefix(out, "[") && strings.HasSuffix(out, "]\n") && !strings.Contains(out, " ") && json.Unmarshal([]byte(out), &pids) == nil {
			return len(pids) == 3
		}
		t.Fatalf("ps --format json: %q", out)
		return false
	})
	if init := e.status("c").PID; !slices.Contains(pids, init) {
		t.Errorf("init, %d, isn't in %v", init, pids)
	}
	if _, err := findPS(); err != nil {
		t.Skip("the table needs the host's ps")
	}
	for line, header := range map[string]string{"ps c": "UID", "ps -f table c": "UID", "ps c -o pid,args": "PID", "ps c -eo ppid,pid,args": "PPID", "ps c -f": ""} {
		args := strings.Fields(line)
		if line == "ps c -f" {
			args = append(args, "-e") // -f is ps's here
			header = "UID"
		}
		if args[len(args)-1] == "pid,args" {
			args = append(args, "-e")
		}
		lines := strings.Split(strings.TrimSuffix(e.must(args...), "\n"), "\n")
		if len(lines) != 4 || !strings.HasPrefix(strings.TrimSpace(lines[0]), header) || !strings.Contains(strings.Join(lines[1:], "\n"), "sleep 2000") {
			t.Errorf("%s:\n%s", line, strings.Join(lines, "\n"))
		}
	}
	// Engines have called davit without any environment.
	e.env = nil
	if out := e.must("ps", "c"); strings.Count(out, "\n") != 4 {
		t.Errorf("without an environment:\n%s", out)
	}
	for line, want := range map[string]string{
		"ps c --bogus":    "ps --bogus: exit status 1: ",
		"ps c -e -o args": "couldn't find PID field in ps output",
		"ps -f yaml c":    "invalid format option",
	} {
		if code, _, errs := e.call(strings.Fields(line)...); code != 1 || !strings.Contains(errs, want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: exit %d, stderr %q", line, code, errs)
		}
	}
}

func TestPSStopped(t *testing.T) {
	e := newEngine(t)
	e.start("s", "exit 0")
	eventually(t, "it ends", func() bool { return e.status("s").Status == "stopped" })
	if out := e.must("ps", "-f", "json", "s"); out != "null\n" && out != "[]\n" {
		t.Errorf("got %q", out)
	}
}
