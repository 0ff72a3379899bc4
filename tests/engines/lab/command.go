package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Output is what a command left.
type Output struct {
	Args           []string
	Stdout, Stderr string
	Code           int
}

func (o Output) String() string {
	return fmt.Sprintf("%s\nexit status %d\nstdout: %s\nstderr: %s", strings.Join(o.Args, " "), o.Code, o.Stdout, o.Stderr)
}

// Out is stdout without the last newline.
func (o Output) Out() string { return strings.TrimRight(o.Stdout, "\n") }

// Patience bounds a command: what takes longer hangs.
const Patience = 60 * time.Second

// Command makes a command that will run in the cell's namespaces, as root.
// There it is killed after [Patience], and has exit status 124 then.
func (c *Cell) Command(args ...string) *exec.Cmd {
	return c.command(append([]string{"timeout", "--foreground", "-k", "5", strconv.Itoa(int(Patience / time.Second))}, args...)...)
}

func (c *Cell) command(args ...string) *exec.Cmd {
	enter := []string{"-t", strconv.Itoa(c.Pid), "-m", "-n", "-p", "-i", "-u", "--"}
	cmd := exec.Command("nsenter", append(enter, args...)...)
	cmd.Env = c.Env
	return cmd
}

// Run executes a command in the cell.
func (c *Cell) Run(args ...string) Output { return c.RunWith(nil, args...) }

// RunWith executes a command in the cell, with something to read on stdin.
func (c *Cell) RunWith(stdin io.Reader, args ...string) Output {
	cmd := c.Command(args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	cmd.WaitDelay = Patience / 4 // for who has the pipes still, when the command is gone or was ended
	err := cmd.Run()
	out := Output{args, stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		out.Stderr += err.Error()
		out.Code = -1
	}
	if out.Code == timedOut {
		out.Stderr += fmt.Sprintf("it was ended after %v", Patience)
	}
	return out
}

// Must executes a command in the cell that the test can't do without.
func (c *Cell) Must(args ...string) string {
	c.t.Helper()
	out := c.Run(args...)
	if out.Code != 0 {
		c.t.Fatalf("%v", out)
	}
	return out.Out()
}

// Daemon is an engine's process that stays.
type Daemon struct {
	Log  string // file with stdout and stderr
	cmd  *exec.Cmd
	done chan error
	cell *Cell
}

// Daemon starts a command in the cell and waits until ready says so.
func (c *Cell) Daemon(name string, env []string, ready func() bool, args ...string) *Daemon {
	c.t.Helper()
	d := &Daemon{Log: c.Path(name + ".log"), cmd: c.command(args...), done: make(chan error, 1), cell: c}
	d.cmd.Env = append(d.cmd.Env, env...)
	log, err := os.OpenFile(d.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		c.t.Fatal(err)
	}
	defer log.Close()
	d.cmd.Stdout, d.cmd.Stderr = log, log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	go func() { d.done <- d.cmd.Wait() }()
	for end := time.Now().Add(Patience); !ready(); time.Sleep(50 * time.Millisecond) {
		select {
		case err := <-d.done:
			c.t.Fatalf("%s ended: %v\n%s", name, err, d.Tail())
		default:
		}
		if time.Now().After(end) {
			c.t.Fatalf("%s isn't ready\n%s", name, d.Tail())
		}
	}
	return d
}

// Tail is the end of the log.
func (d *Daemon) Tail() string {
	text, _ := os.ReadFile(d.Log)
	return string(text[max(0, len(text)-4000):])
}

// Stop sends a signal to the daemon, not to what it started, and waits for its end. The error
// of one that goes on tells what it started, and what a Go program does when it is asked by SIGQUIT.
func (d *Daemon) Stop(sig syscall.Signal) error {
	if err := d.signal(sig); err != nil {
		return err
	}
	select {
	case <-d.done:
		return nil
	case <-time.After(Patience):
	}
	below := descendants(d.cmd.Process.Pid)
	if err := d.signal(syscall.SIGQUIT); err != nil {
		return err
	}
	select {
	case <-d.done:
	case <-time.After(Patience / 10):
	}
	text, _ := os.ReadFile(d.Log)
	return fmt.Errorf("%s doesn't end on %v; below it are %v\n%s", d.Log, sig, below, text[max(0, len(text)-100_000):])
}

// signal reaches the daemon, for which nsenter, its parent, only waits.
func (d *Daemon) signal(sig syscall.Signal) error {
	for pid, p := range processes() {
		if p.parent == d.cmd.Process.Pid {
			if err := syscall.Kill(pid, sig); err != nil {
				return err
			}
		}
	}
	return nil
}

// Wait polls for a condition, for [Patience] at most.
func Wait(condition func() bool) bool {
	for end := time.Now().Add(Patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if condition() {
			return true
		}
	}
	return false
}
