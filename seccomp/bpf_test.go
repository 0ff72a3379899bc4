package seccomp

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// call is what the kernel shows to a filter (struct seccomp_data).
type call struct {
	nr   uint32
	arch uint32
	args [6]uint64
}

func (c call) bytes() []byte {
	b := binary.NativeEndian.AppendUint32(nil, c.nr)
	b = binary.NativeEndian.AppendUint32(b, c.arch)
	b = binary.NativeEndian.AppendUint64(b, 0)
	for _, a := range c.args {
		b = binary.NativeEndian.AppendUint64(b, a)
	}
	return b
}

// run interprets a program as the kernel does, and fails the test on anything
// that the kernel's checker would refuse.
func run(t testing.TB, program []byte, c call) action {
	t.Helper()
	a, _ := steps(t, program, c)
	return a
}

// steps is run, and counts the instructions.
func steps(t testing.TB, program []byte, c call) (a action, taken int) {
	t.Helper()
	data := c.bytes()
	var acc uint32
	n := len(program) / insnSize
	for pc := 0; pc < n; {
		in := program[pc*insnSize:]
		code := binary.NativeEndian.Uint16(in)
		k := binary.NativeEndian.Uint32(in[4:])
		pc++
		taken++
		var jump bool
		switch code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			if k%4 != 0 || int(k)+4 > len(data) {
				t.Fatalf("instruction %d loads from %d", pc-1, k)
			}
			acc = binary.NativeEndian.Uint32(data[k:])
			continue
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			acc &= k
			continue
		case unix.BPF_RET | unix.BPF_K:
			return action(k), taken
		case unix.BPF_JMP | unix.BPF_JA:
			pc += int(k)
			continue
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			jump = acc == k
		case unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K:
			jump = acc > k
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			jump = acc >= k
		case unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K:
			jump = acc&k != 0
		default:
			t.Fatalf("instruction %d has code %#x", pc-1, code)
		}
		if jump {
			pc += int(in[2])
		} else {
			pc += int(in[3])
		}
	}
	t.Fatalf("ran past the end of %d instructions", n)
	return 0, 0
}

func loadProfile(t testing.TB, path string) *specs.LinuxSeccomp {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &specs.LinuxSeccomp{}
	if err := json.Unmarshal(data, cfg); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func ptr[T any](v T) *T { return &v }
