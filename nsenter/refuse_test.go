package nsenter

import (
	"errors"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPlanHasToBeSealed(t *testing.T) {
	needStage(t)
	data, err := program(exec("/bin/true")).Encode()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.MemfdCreate("plan", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, data); err != nil {
		t.Fatal(err)
	}
	// Writing is what has to be impossible; the other seals alone don't do.
	for _, seals := range []int{0, unix.F_SEAL_SHRINK | unix.F_SEAL_GROW} {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
			t.Fatal(err)
		}
		if e := refusal(t, fd); e.Call != "plan is not sealed" || e.Errno != unix.EPERM {
			t.Errorf("seals %#x: %v", seals, e)
		}
	}
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(data); err != nil {
		t.Fatal(err)
	}
	if e := refusal(t, int(file.Fd())); e.Call != "plan is not sealed" {
		t.Errorf("a plan in a file: %v", e)
	}
}

// refusal sends what may be no plan and returns what the stage says to it.
func refusal(t *testing.T, fds ...int) *InstrError {
	t.Helper()
	s, err := Start([]uintptr{0, 1, 2})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	// Something that the refusal must not be taken for.
	s.programs = []Program{program(exec("/bin/true"))}
	if err := s.send(messagePlan, 0, fds); err != nil {
		t.Fatal(err)
	}
	r, err := s.Receive()
	var e *InstrError
	if !errors.As(err, &e) {
		t.Fatalf("the stage took it: %v, %v", r, err)
	}
	if e.Instr.Op != nil {
		t.Errorf("the refusal (%v) is about an instruction, %v", e, e.Instr)
	}
	return e
}

func TestDamagedPlan(t *testing.T) {
	needStage(t)
	good := program(Join{Fd: None}, Exec{Paths: []string{"/bin/true"}}, Seccomp{Filter: make([]byte, 8)})
	u32 := func(at int, v uint32) func([]byte) []byte {
		return func(b []byte) []byte { copy(b[at:], bytesOf(&v)); return b }
	}
	u64 := func(insn, arg int, v uint64) func([]byte) []byte {
		return func(b []byte) []byte { copy(b[32+insn*instrSize+8+8*arg:], bytesOf(&v)); return b }
	}
	whole, err := good.Encode()
	if err != nil {
		t.Fatal(err)
	}
	pool := uint64(len(whole) - 32 - 3*instrSize)
	for name, c := range map[string]struct {
		damage func([]byte) []byte
		errno  unix.Errno
	}{
		"magic":                {u32(0, 0), unix.EINVAL},
		"version":              {u32(8, isaVersion+1), unix.EPROTO},
		"size":                 {u32(12, uint32(len(whole)-1)), unix.EINVAL},
		"no instruction":       {u32(16, 0), unix.EINVAL},
		"more instructions":    {u32(16, 1<<31), unix.EINVAL},
		"pool elsewhere":       {u32(20, 40), unix.EINVAL},
		"pool too long":        {u32(24, uint32(pool)+1), unix.EINVAL},
		"timed or not":         {u32(28, 2), unix.EINVAL},
		"cut off":              {func(b []byte) []byte { return b[:len(b)-1] }, unix.EINVAL},
		"header only":          {func(b []byte) []byte { return b[:32] }, unix.EINVAL},
		"half a header":        {func(b []byte) []byte { return b[:16] }, unix.EINVAL},
		"longer":               {func(b []byte) []byte { return append(b, 0) }, unix.EINVAL},
		"pool without end":     {func(b []byte) []byte { b[len(b)-1] = 1; return b }, unix.EINVAL},
		"pool without begin":   {func(b []byte) []byte { b[32+3*instrSize] = 1; return b }, unix.EINVAL},
		"code 0":               {u32(32, 0), unix.EINVAL},
		"unknown code":         {u32(32, 9999), unix.EINVAL},
		"reserved of an insn":  {u32(36, 1), unix.EINVAL},
		"slot that isn't":      {u64(0, 0, 0), unix.EINVAL},
		"slot beyond all":      {u64(0, 0, MaxSlots), unix.EINVAL},
		"operand too many":     {u64(0, 2, 1), unix.EINVAL},
		"list behind the pool": {u64(1, 0, pool|1<<32), unix.EINVAL},
		"list over the end":    {u64(1, 0, 1000<<32), unix.EINVAL},
		"blob not aligned":     {u64(2, 0, 1|1<<32), unix.EINVAL},
		"blob over the end":    {u64(2, 0, pool<<32|8), unix.EINVAL},
		"blob behind the pool": {u64(2, 0, pool/8*8+8), unix.EINVAL},
	} {
		fd, err := sealed("plan", c.damage(slices.Clone(whole)), false)
		if err != nil {
			t.Fatal(err)
		}
		if e := refusal(t, fd); e.Call != "decode plan" || e.Errno != c.errno {
			t.Errorf("%s: %v, want %v", name, e, c.errno)
		}
		unix.Close(fd)
	}
}

func TestPlanNeedsItsDescriptors(t *testing.T) {
	needStage(t)
	if e := refusal(t); e.Call != "receive plan" {
		t.Errorf("no plan: %v", e)
	}
	plan, err := sealed("plan", []byte("x"), false)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(plan)
	if e := refusal(t, slices.Repeat([]int{plan}, MaxSlots+2)...); e.Call != "recvmsg" || e.Errno != unix.EMFILE {
		t.Errorf("more descriptors than slots: %v", e)
	}
	fds := slices.Repeat([]int{plan}, MaxSlots)
	(&call{programs: []Program{program(exec("/bin/true"))}, fds: fds}).run(t).succeeded(t)
	// A slot is there from the program on that brings it.
	ns, err := os.Open("/proc/self/ns/uts")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if os.Geteuid() == 0 {
		p := program(Join{Fd: 0, Type: unix.CLONE_NEWUTS}, exec("/bin/true"))
		(&call{programs: []Program{program(NextPlan{}), p}, fds: []int{int(ns.Fd())}}).run(t).succeeded(t)
	}
	s := (&call{programs: []Program{program(NextPlan{}), program(Join{Fd: 1}, exec("/bin/true"))}, fds: []int{int(ns.Fd())}}).run(t)
	s.failed(t, "decode plan", unix.EINVAL)
}
