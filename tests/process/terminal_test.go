package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// A person's terminal becomes the container's, in size and mode, and is its own again afterwards.
func TestTerminalForeground(t *testing.T) {
	t.Parallel()
	const script = `stty size; tty; stat -c %t:%T /dev/console; echo ready; read x; echo "got $x"; exit 6`
	for _, command := range []string{"run", "exec"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			s, p := harness.New(t, harness.Args("/bin/sleep", "1000")), openPTY(t, 33, 99)
			before := p.mode()
			p.collect()
			var c *harness.Cmd
			if command == "run" {
				s.Edit(terminal, harness.Shell(script))
				s.WriteConfig()
				c = p.at(s, "run", "--bundle", s.Bundle, s.ID)
			} else {
				s.WriteFile("/dev/console", "", 0o644) // without a terminal of the container's own it stays what it is
				start(s)
				defer s.Delete()
				c = p.at(s, execLine(s, strings.Replace(script, "/dev/console", "$(tty)", 1), "--tty")...)
			}
			p.shows("33 99\r\n/dev/pts/0\r\n88:0\r\nready\r\n")
			if !p.isRaw() {
				t.Error("the terminal isn't raw")
			}
			p.types("some text\r") // what the Enter key sends
			p.shows("got some text\r\n")
			if r := c.End(); r.Code != 6 {
				t.Errorf("exit code %d", r.Code)
			}
			if p.mode() != before {
				t.Error("the terminal isn't as it was before")
			}
		})
	}
}

func TestTerminalResize(t *testing.T) {
	t.Parallel()
	s, p := running(t), openPTY(t, 20, 60)
	installInside(s)
	p.collect()
	c := p.at(s, "exec", "-t", s.ID, "/inside", "winsize")
	p.shows("20 rows 60 columns")
	for i := range 5 {
		rows, columns := uint16(30+i), uint16(100+i)
		p.resize(rows, columns)
		p.shows(fmt.Sprintf("%d rows %d columns", rows, columns))
	}
	p.types("\x03")
	if r := c.End(); r.Code != 130 {
		t.Errorf("exit code %d", r.Code)
	}
}

// However davit ends, as far as it has a say in it, the terminal is usable again.
func TestTerminalRestored(t *testing.T) {
	t.Parallel()
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			t.Parallel()
			s, p := running(t), openPTY(t, 20, 60)
			before := p.mode()
			p.collect()
			c := p.at(s, execLine(s, "echo ready; exec sleep 1000", "-t")...)
			p.shows("ready")
			if !p.isRaw() {
				t.Error("the terminal isn't raw")
			}
			if err := c.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if r := c.End(); r.Code != 128+int(sig) {
				t.Errorf("exit code %d", r.Code)
			}
			if p.mode() != before {
				t.Error("the terminal isn't as it was before")
			}
		})
	}
	t.Run("failure", func(t *testing.T) {
		t.Parallel()
		s, p := running(t), openPTY(t, 20, 60)
		before := p.mode()
		p.collect()
		for _, args := range [][]string{
			execLine(s, "true", "-t", "--pid-file", "/nowhere/pid"), {"exec", "-t", s.ID, "/bin/nothing"}, execLine(s, "true", "-t", "--pidfd-socket", "/nowhere/sock"),
		} {
			if r := p.at(s, args...).End(); r.Code != 255 {
				t.Errorf("%v: exit code %d", args, r.Code)
			}
			if p.mode() != before {
				t.Errorf("%v: the terminal isn't as it was before", args)
			}
		}
	})
	t.Run("the container is killed", func(t *testing.T) {
		t.Parallel()
		s, p := harness.New(t, terminal, harness.Shell("echo ready; exec sleep 1000")), openPTY(t, 20, 60)
		before := p.mode()
		p.collect()
		s.WriteConfig()
		c := p.at(s, "run", "--bundle", s.Bundle, s.ID)
		p.shows("ready")
		s.Davit("kill", s.ID, "KILL").Succeeds()
		if r := c.End(); r.Code != 137 {
			t.Errorf("exit code %d", r.Code)
		}
		if p.mode() != before {
			t.Error("the terminal isn't as it was before")
		}
	})
}

// The keys that send signals are the container's, and mean its foreground job.
func TestTerminalJobControl(t *testing.T) {
	t.Parallel()
	s, p := harness.New(t, terminal, harness.Args("/bin/sh", "-i"), harness.Env("PS1=prompt> ")), openPTY(t, 24, 80)
	p.collect()
	s.WriteConfig()
	c := p.at(s, "run", "--bundle", s.Bundle, s.ID)
	p.shows("prompt> ")
	if strings.Contains(p.text(), "job control turned off") {
		t.Errorf("the shell has no controlling terminal: %q", p.text())
	}
	p.types("echo begun; sleep 1000\r")
	p.shows("begun\r\n")
	waitForeground(t, s, "sleep 1000")
	p.types("\x03")
	p.types("echo status-$?\r")
	p.shows("status-130\r\n")
	p.types("echo again; sleep 2000\r")
	p.shows("again\r\n")
	waitForeground(t, s, "sleep 2000")
	p.types("\x1a")
	p.shows("Stopped")
	p.types("echo in-$(echo between)\r")
	p.shows("in-between\r\n")
	p.types("fg\r")
	waitForeground(t, s, "sleep 2000")
	p.types("\x03")
	p.types("exit 7\r")
	if r := c.End(); r.Code != 7 {
		t.Errorf("exit code %d: %q", r.Code, p.text())
	}
}

// waitForeground waits until a program is running and has the terminal.
func waitForeground(t *testing.T, s *harness.Sandbox, args string) {
	t.Helper()
	harness.Eventually(t, args+" in the foreground", func() bool {
		out := execute(s, fmt.Sprintf(`for p in /proc/[0-9]*; do [ "$(tr '\0' ' ' <$p/cmdline)" = %q ] && cut -d' ' -f3,5,8 $p/stat; done; true`, args+" "))
		f := strings.Fields(out)
		return len(f) == 3 && f[0] == "S" && f[1] == f[2]
	})
}

func TestTerminalNeedsOne(t *testing.T) {
	t.Parallel()
	s := harness.New(t, terminal, harness.Shell("echo never"))
	s.WriteConfig()
	alone := &syscall.SysProcAttr{Setsid: true} // without a controlling terminal
	c := s.Command("run", "--bundle", s.Bundle, s.ID)
	c.SysProcAttr = alone
	c.Do().Fails("process.terminal", "terminal", "--console-socket")
	s.Spec.Process.Terminal = false
	s.Edit(harness.Args("/bin/sleep", "1000"))
	start(s)
	c = s.Command(execLine(s, "echo never", "--tty")...)
	c.SysProcAttr = alone
	r := c.Do()
	r.FailsWith(255, "exec failed: ", "terminal", "--console-socket")
	if r.Stdout() != "" {
		t.Errorf("it ran nevertheless: %q", r.Stdout())
	}
	s.Delete()
}

// sequence is what `inside flood` writes.
func sequence(n int) []byte {
	b, x := make([]byte, n), uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

const floodSize = 50 << 20

// No byte is lost, doubled or changed, also not at the end, on the way through two terminals.
func TestTerminalFlood(t *testing.T) {
	t.Parallel()
	s, p := running(t), openPTY(t, 24, 80)
	installInside(s)
	raw := p.mode()
	raw.Oflag &^= unix.OPOST // what davit writes is what we read
	if err := unix.IoctlSetTermios(int(p.slave.Fd()), unix.TCSETS, &raw); err != nil {
		t.Fatal(err)
	}
	p.collect()
	c := p.at(s, "exec", "-t", s.ID, "/inside", "flood", fmt.Sprint(floodSize))
	if r := c.End(); r.Code != 3 {
		t.Errorf("exit code %d", r.Code)
	}
	want := sequence(floodSize)
	harness.Eventually(t, "the end of the output", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.shown.Len() >= floodSize })
	same(t, p.shown.Bytes(), want)
}

func same(t *testing.T, got, want []byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d bytes arrived, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Errorf("byte %d is %#x, want %#x", i, got[i], want[i])
			return
		}
	}
}

// Nobody reads: davit waits, and doesn't ask again and again. Nothing is lost meanwhile.
func TestTerminalStalledReader(t *testing.T) {
	t.Parallel()
	s, p := running(t), openPTY(t, 24, 80)
	installInside(s)
	raw := p.mode()
	raw.Oflag &^= unix.OPOST
	if err := unix.IoctlSetTermios(int(p.slave.Fd()), unix.TCSETS, &raw); err != nil {
		t.Fatal(err)
	}
	const size = 1 << 20
	c := p.at(s, "exec", "-t", s.ID, "/inside", "flood", fmt.Sprint(size))
	// Until both terminals are full.
	harness.Eventually(t, "the stall", func() bool {
		a := cpuTime(t, c.Process.Pid)
		time.Sleep(100 * time.Millisecond)
		return a > 0 && cpuTime(t, c.Process.Pid) == a
	})
	begin := cpuTime(t, c.Process.Pid)
	time.Sleep(time.Second)
	used := cpuTime(t, c.Process.Pid) - begin
	t.Logf("davit used %s of CPU time in a second of stall", used)
	if used > 20*time.Millisecond {
		t.Errorf("davit used %s of CPU time in a second in which nobody reads", used)
	}
	p.collect()
	if r := c.End(); r.Code != 3 {
		t.Errorf("exit code %d", r.Code)
	}
	harness.Eventually(t, "the end of the output", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.shown.Len() >= size })
	same(t, p.shown.Bytes(), sequence(size))
}

// cpuTime is what the scheduler has given to all threads of a process.
func cpuTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	var sum time.Duration
	if _, err := os.Stat("/proc/self/schedstat"); err != nil {
		t.Skipf("needs a kernel with CONFIG_SCHED_INFO: %v", err)
	}
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		data, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "task", task.Name(), "schedstat"))
		var ns int64
		if err == nil {
			_, err = fmt.Sscan(string(data), &ns)
		}
		if err != nil {
			t.Fatal(err)
		}
		sum += time.Duration(ns)
	}
	return sum
}

// The terminal is hung up, as when its window is closed: the container is told so.
func TestTerminalHangup(t *testing.T) {
	t.Parallel()
	s, p := running(t), openPTY(t, 24, 80)
	c := p.at(s, execLine(s, "trap 'echo hung up >/tmp/hup; exit 9' HUP; echo ready >/tmp/ready; while :; do sleep 0.01; done", "-t")...)
	harness.Eventually(t, "the process", func() bool { return execute(s, "cat /tmp/ready 2>/dev/null || true") == "ready\n" })
	p.slave.Close()
	p.master.Close()
	if r := c.End(); r.Code != 9 {
		t.Errorf("exit code %d", r.Code)
	}
	if out := execute(s, "cat /tmp/hup"); out != "hung up\n" {
		t.Errorf("the process wrote %q", out)
	}
}

// The process has ended, and nobody reads what it printed last: davit waits for a reader, but not against its caller's will.
func TestTerminalEndedByCaller(t *testing.T) {
	t.Parallel()
	s, p := running(t), openPTY(t, 24, 80)
	before := p.mode()
	pidFile := filepath.Join(s.Dir, "pid")
	p.fill()
	c := p.at(s, execLine(s, "echo the last words; exit 4", "-t", "--pid-file", pidFile)...)
	pid := readPID(t, pidFile)
	harness.Eventually(t, "the process's end", func() bool { return unix.Kill(pid, 0) != nil })
	time.Sleep(50 * time.Millisecond)
	if err := c.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if r := c.End(); r.Code != 4 {
		t.Errorf("exit code %d", r.Code)
	}
	if p.mode() != before {
		t.Error("the terminal isn't as it was before")
	}
}

// In the background davit stops until it gets the terminal, as every program does, and doesn't spin.
func TestTerminalInBackground(t *testing.T) {
	t.Parallel()
	s, p := running(t), openPTY(t, 24, 80)
	p.collect()
	s.Prefix = []string{"/bin/bash", "-i", "-c", `set -m; "$@" & sleep 0.3; jobs; fg; echo "code $?"`, "bash"}
	harness.NeedTool(t, "bash", "bash")
	before := p.mode()
	c := p.at(s, execLine(s, "echo in front; exit 9", "-t")...)
	p.shows("Stopped")
	p.shows("in front")
	p.shows("code 9")
	c.End()
	if p.mode() != before {
		t.Error("the terminal isn't as it was before")
	}
}
