package nsenter

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// helperVar makes the test binary one of the helpers, for tests that need another process as the stage's caller.
const helperVar = "DAVIT_NSENTER_TEST_HELPER"

func TestMain(m *testing.M) {
	switch os.Getenv(helperVar) {
	case "":
		os.Exit(m.Run())
	case "caller":
		caller()
	}
	fmt.Fprintln(os.Stderr, "unknown helper")
	os.Exit(2)
}

// caller starts a stage with a clone, prints both pids when the two wait, and waits to be killed.
func caller() {
	s, err := Start([]uintptr{0, 1, 2})
	if err == nil {
		err = s.Send(Program{{Op: Clone{Cgroup: None}}, {Op: Sync{Token: uint64(TokenStart)}}}, nil)
	}
	waiting := 0
	for err == nil && waiting == 0 {
		var r Report
		r, err = s.Receive()
		switch r := r.(type) {
		case Cloned:
			fmt.Println(r.PID)
		case Waiting:
			waiting++
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// A second one, which has no program yet.
	if s, err = Start([]uintptr{0, 1, 2}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.PID())
	os.Stdout.Close()
	time.Sleep(time.Hour)
}

func needStage(t testing.TB) {
	t.Helper()
	if StageSize() == 0 {
		t.Skip("this build has no stage: run `make` first")
	}
}

func needRoot(t testing.TB) {
	t.Helper()
	needStage(t)
	if os.Geteuid() != 0 {
		t.Skip("mounts and namespaces need root")
	}
}

// outcome is what became of a program.
type outcome struct {
	reports []Report
	err     error           // the failure that the stage reported, nil for an exec that worked
	status  unix.WaitStatus // of the container's process, or of the stage's where there was no Clone
	out     string          // what the process wrote
}

// call is one use of the stage.
type call struct {
	ahead    uint64 // namespaces that are asked for before the first program
	programs []Program
	fds      []int                         // for the slots of the first program
	files    []uintptr                     // descriptors 3, 4, … of the process
	on       func(s *Stage, r Report) bool // looks at each report; true ends the conversation
}

// run runs a program to its end and returns what came of it.
func run(t *testing.T, programs ...Program) *outcome {
	t.Helper()
	return (&call{programs: programs}).run(t)
}

func (c *call) run(t *testing.T) *outcome {
	t.Helper()
	needStage(t)
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s, err := Start(append([]uintptr{null.Fd(), w.Fd(), w.Fd()}, c.files...))
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	o := &outcome{}
	pid := s.PID()
	if c.ahead != 0 {
		if err := s.Ahead(c.ahead); err != nil {
			t.Fatal(err)
		}
	}
	for i, p := range c.programs {
		var fds []int
		if i == 0 {
			fds = c.fds
		}
		if err := s.Send(p, fds); err != nil {
			t.Fatal(err)
		}
	}
	for {
		report, err := s.Receive()
		if err != nil {
			if err != io.EOF {
				o.err = err
			}
			break
		}
		o.reports = append(o.reports, report)
		if r, ok := report.(Cloned); ok {
			pid = r.PID
		}
		if c.on != nil && c.on(s, report) {
			break
		}
	}
	var out bytes.Buffer
	if pid != s.PID() {
		s.Close()
	} else {
		unix.Close(s.sock)
		s.sock, s.pid = -1, 0 // it is waited for below
	}
	if _, err := out.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	o.out = out.String()
	if _, err := unix.Wait4(pid, &o.status, 0, nil); err != nil {
		t.Fatalf("wait for the process: %v", err)
	}
	return o
}

// succeeded demands that the process was executed and ended with status 0.
func (o *outcome) succeeded(t *testing.T) *outcome {
	t.Helper()
	if o.err != nil || !o.status.Exited() || o.status.ExitStatus() != 0 {
		t.Fatalf("error %v, status %#x, output %q", o.err, o.status, o.out)
	}
	return o
}

// failed demands that an instruction failed in this call with this reason.
func (o *outcome) failed(t *testing.T, call string, errno unix.Errno) *InstrError {
	t.Helper()
	var e *InstrError
	if !errors.As(o.err, &e) {
		t.Fatalf("error %v (status %#x, output %q), want an InstrError", o.err, o.status, o.out)
	}
	if e.Call != call || e.Errno != errno {
		t.Fatalf("failed in %q with %v (%s), want %q with %v", e.Call, e.Errno, e.Detail, call, errno)
	}
	return e
}

// program makes a program of instructions; each comes from a field named by its number.
func program(ops ...Op) Program {
	p := make(Program, len(ops))
	for i, op := range ops {
		p[i] = Instr{Field: "field" + strconv.Itoa(i), Op: op}
	}
	return p
}

// exec executes a program of the host.
func exec(argv ...string) Exec {
	return Exec{Paths: argv[:1], Argv: argv, Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}}
}

func shell(script string) Exec { return exec("/bin/sh", "-c", script) }

// statusField reads a field such as SigBlk from the text of /proc/PID/status.
func statusField(t *testing.T, status, name string) string {
	t.Helper()
	for _, line := range strings.Split(status, "\n") {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	t.Fatalf("no %s in %q", name, status)
	return ""
}

// eventually waits for something that another process does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
	}
}

// sockFilter lays out a seccomp filter that lets some system calls fail and all others through.
func sockFilter(fails map[uintptr]unix.Errno) []byte {
	ins := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}} // struct seccomp_data begins with the number
	for nr, errno := range fails {
		ins = append(ins, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: uint32(nr)},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)})
	}
	ins = append(ins, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	var b []byte
	for i := range ins {
		b = append(b, bytesOf(&ins[i])...)
	}
	return b
}
