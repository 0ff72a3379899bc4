package nsenter

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"davit/nsenter/isa"
)

// everyOp has an instruction of each type. A type that the instruction set gains has to be added; TestEveryInstructionEncodes says so.
func everyOp() []Op {
	return []Op{&OOMScore{}, &RaiseLimit{}, &Join{}, &Clone{}, &Dumpable{}, &Wait{}, &Sync{}, &BecomeRoot{}, &Unshare{}, &TimeNamespace{},
		&Keyring{}, &Propagation{}, &Rootfs{}, &OwnFiles{}, &Mount{}, &MountIDMapped{}, &Bind{}, &Remount{}, &Mkdir{}, &Mknod{}, &BindDevice{}, &Symlink{}, &Pty{},
		&SendFile{}, &Hostname{}, &Domainname{}, &Loopback{}, &Sysctl{}, &Mask{}, &ReadOnly{}, &RootAttr{}, &Pivot{}, &Chroot{},
		&RootPropagation{}, &EnterRoot{}, &NextPlan{}, &Session{}, &Rlimit{}, &Umask{}, &Personality{}, &Scheduler{}, &IOPriority{},
		&Affinity{}, &MemoryPolicy{}, &Label{}, &NoNewPrivs{}, &Bounding{}, &User{}, &Capabilities{}, &Chdir{}, &LandlockRuleset{}, &LandlockPath{}, &LandlockPort{}, &LandlockRestrict{}, &Seccomp{}, &CloseFrom{},
		&LookUp{}, &ReportReady{}, &Park{}, &LetGo{}, &Exec{}}
}

// fill gives every field of an instruction a value of its own, and returns them in order.
func fill(op Op, salt int) []any {
	v := reflect.ValueOf(op).Elem()
	var values []any
	for i := range v.NumField() {
		n := salt + i
		var x any
		switch v.Field(i).Interface().(type) {
		case uint64:
			x = uint64(n)<<32 | uint64(i)
		case string:
			x = fmt.Sprintf("string %d", n)
		case []string:
			x = slices.Repeat([]string{fmt.Sprintf("item %d", n), ""}, 1+i)
		case []byte:
			x = bytes.Repeat([]byte{byte(n)}, 1+n%19)
		case Slot:
			x = Slot(n % MaxSlots)
		}
		v.Field(i).Set(reflect.ValueOf(x))
		values = append(values, x)
	}
	return values
}

// decoded is a plan as the stage reads it: code and operands of every instruction.
type decoded struct {
	code uint32
	args []any
}

// decodePlan reads a plan by the format's definition in stage/stage.h.
func decodePlan(t *testing.T, plan []byte) []decoded {
	t.Helper()
	u32 := func(at int) int { return int(binary.NativeEndian.Uint32(plan[at:])) }
	if string(plan[:8]) != "davitpln" || u32(8) != isaVersion || u32(12) != len(plan) || u32(28) != 0 {
		t.Fatalf("wrong header: % x", plan[:32])
	}
	pool := plan[u32(20):]
	if len(pool) != u32(24) || len(pool) < 2 || pool[0] != 0 || pool[len(pool)-1] != 0 || u32(20)%8 != 0 {
		t.Fatalf("wrong pool: % x", pool)
	}
	if u32(20) != 32+u32(16)*instrSize {
		t.Fatalf("the pool begins at %d with %d instructions", u32(20), u32(16))
	}
	str := func(at uint32) string {
		s, _, _ := strings.Cut(string(pool[at:]), "\x00")
		return s
	}
	var out []decoded
	for i := range u32(16) {
		in := plan[32+i*instrSize:][:instrSize]
		d := decoded{code: binary.NativeEndian.Uint32(in)}
		for j, a := range isa.Ops[d.code-1].Args {
			v := binary.NativeEndian.Uint64(in[8+8*j:])
			lo, hi := uint32(v), uint32(v>>32)
			switch a.Kind {
			case isa.Num:
				d.args = append(d.args, v)
			case isa.Str:
				d.args = append(d.args, str(lo))
			case isa.List:
				var l []string
				for range hi {
					s := str(lo)
					l = append(l, s)
					lo += uint32(len(s)) + 1
				}
				d.args = append(d.args, l)
			case isa.Blob:
				if lo%8 != 0 {
					t.Fatalf("a blob at %d is not aligned", lo)
				}
				d.args = append(d.args, slices.Clone(pool[lo:lo+hi]))
			case isa.Slot:
				d.args = append(d.args, Slot(int64(v)))
			}
		}
		for j := len(isa.Ops[d.code-1].Args); j < isa.MaxArgs; j++ {
			if binary.NativeEndian.Uint64(in[8+8*j:]) != 0 {
				t.Fatalf("operand %d of %s, which it hasn't, is not 0", j, isa.Ops[d.code-1].Name)
			}
		}
		out = append(out, d)
	}
	return out
}

func TestEveryInstructionEncodes(t *testing.T) {
	ops := everyOp()
	if len(ops) != len(isa.Ops) {
		t.Fatalf("everyOp has %d instructions, the instruction set %d", len(ops), len(isa.Ops))
	}
	var p Program
	var want [][]any
	for i, op := range ops {
		def := isa.Ops[i]
		if name := reflect.TypeOf(op).Elem().Name(); name != def.Name || op.Word() != def.Word {
			t.Errorf("instruction %d is %s (%s), the instruction set has %s (%s)", i, name, op.Word(), def.Name, def.Word)
		}
		want = append(want, fill(op, 3*i))
		p = append(p, Instr{Op: op})
	}
	plan, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range decodePlan(t, plan) {
		if int(d.code) != i+1 {
			t.Errorf("%s has code %d, want %d", ops[i].Word(), d.code, i+1)
		}
		if !reflect.DeepEqual(d.args, want[i]) {
			t.Errorf("%s: decoded %v, want %v", ops[i].Word(), d.args, want[i])
		}
		args := ops[i].Args()
		if len(args) != len(want[i]) {
			t.Errorf("%s explains %d operands of %d", ops[i].Word(), len(args), len(want[i]))
		}
		for j, a := range args {
			if !reflect.DeepEqual(a.Value, want[i][j]) || a.Name != strings.ToLower(isa.Ops[i].Args[j].Name) {
				t.Errorf("%s explains operand %d as %s=%v", ops[i].Word(), j, a.Name, a.Value)
			}
		}
	}
}

func TestEmptyOperands(t *testing.T) {
	plan, err := Program{{Op: Mount{}}, {Op: User{}}, {Op: Clone{Cgroup: None}}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	d := decodePlan(t, plan)
	if want := []any{"", "", "", []string(nil), uint64(0), uint64(0), uint64(0), uint64(0), uint64(0), ""}; !reflect.DeepEqual(d[0].args, want) {
		t.Errorf("mount: %v, want %v", d[0].args, want)
	}
	if b := d[1].args[2].([]byte); len(b) != 0 {
		t.Errorf("user: groups % x", b)
	}
	if d[2].args[1] != None {
		t.Errorf("clone: slot %v, want none", d[2].args[1])
	}
}

func TestGoldenPlan(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the golden plan is for a little-endian machine")
	}
	plan, err := Program{{Op: Mkdir{Path: "/a", Mode: 0o755}}, {Op: Exec{Paths: []string{"/x"}, Argv: []string{"x", "y"}}}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	binary.NativeEndian.PutUint32(plan[8:], 0) // it changes with every instruction
	mkdir, exec := reflect.TypeOf(Mkdir{}).Name(), reflect.TypeOf(Exec{}).Name()
	code := func(name string) string {
		i := slices.IndexFunc(isa.Ops, func(o isa.Op) bool { return o.Name == name })
		return fmt.Sprintf("%02x000000 00000000", i+1)
	}
	zeros := func(n int) string { return strings.Repeat(" 0000000000000000", n) }
	want := "64617669 74706c6e 00000000 ec000000 02000000 e0000000 0c000000 00000000" +
		code(mkdir) + "01000000 00000000 ed010000 00000000" + zeros(9) +
		code(exec) + "04000000 01000000 07000000 02000000 00000000 00000000" + zeros(8) +
		"00 2f6100 2f7800 7800 7900 00"
	if got := hex.EncodeToString(plan); got != strings.ReplaceAll(want, " ", "") {
		t.Errorf("the plan is\n%s, want\n%s", got, strings.ReplaceAll(want, " ", ""))
	}
}

func TestStringsAreShared(t *testing.T) {
	one, _ := Program{{Op: Mkdir{Path: "/some/path"}}}.Encode()
	two, _ := Program{{Op: Mkdir{Path: "/some/path"}}, {Op: Mkdir{Path: "/some/path"}}}.Encode()
	if len(two)-len(one) != instrSize {
		t.Errorf("a string that is there already takes %d bytes more", len(two)-len(one)-instrSize)
	}
}

func TestEncodeRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		op   Op
		want string
	}{
		{"a NUL in a string", Hostname{Name: "a\x00b"}, "NUL"},
		{"a NUL in a list", Exec{Argv: []string{"a", "b\x00"}}, "NUL"},
		{"a slot below none", Join{Fd: -2}, "no slot -2"},
		{"a slot beyond the last", Join{Fd: MaxSlots}, fmt.Sprintf("no slot %d", MaxSlots)},
		{"a plan beyond 64 MiB", Seccomp{Filter: make([]byte, planMax)}, "more than"},
	} {
		_, err := Program{{Op: ReportReady{}}, {Field: "the.field", Op: c.op}}.Encode()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		} else if c.want != "more than" && !strings.Contains(err.Error(), "the.field") {
			t.Errorf("%s: %v doesn't name the field", c.name, err)
		}
	}
	if _, err := (Program{}).Encode(); err == nil {
		t.Error("a program without instructions is encoded")
	}
	if _, err := (Program{{Op: Join{Fd: MaxSlots - 1}}}).Encode(); err != nil {
		t.Errorf("the last slot: %v", err)
	}
}

func TestNoStage(t *testing.T) {
	if StageSize() > 0 {
		t.Skip("this build has its stage: what happens without one can't be seen")
	}
	if _, err := Start([]uintptr{0, 1, 2}); !errors.Is(err, ErrNoStage) || !strings.Contains(err.Error(), "`make`") {
		t.Errorf("Start: %v, want ErrNoStage with what to do", err)
	}
}

func TestShow(t *testing.T) {
	for _, c := range []struct {
		arg  Arg
		want string
	}{
		{Arg{Value: "text"}, "text"}, {Arg{Value: []string{"a", "b"}}, "a,b"}, {Arg{Value: []byte{1, 2}}, "2 bytes"}, {Arg{Value: []byte{}}, ""},
		{Arg{Value: None}, ""}, {Arg{Value: Slot(3)}, "fd 3"}, {Arg{Value: uint64(42)}, "42"}, {Arg{Value: uint64(0o755), Show: ShowOctal}, "0755"},
		{Arg{Value: uint64(255), Show: ShowHex}, "0xff"}, {Arg{Value: uint64(1)<<32 | 3, Show: ShowDevice}, "1:3"},
		{Arg{Value: uint64(0x20000 | 1), Show: ShowClone}, "mount|0x1"}, {Arg{Value: uint64(0), Show: ShowClone}, ""},
		{Arg{Value: uint64(3), Show: ShowAttr}, "ro|nosuid"}, {Arg{Value: uint64(1<<18 | 1<<14), Show: ShowMSFlags}, "recursive|private"},
		{Arg{Value: uint64(TokenStart), Show: ShowToken}, "start"}, {Arg{Value: uint64(FilePasswd), Show: ShowFile}, "passwd"},
		{Arg{Value: uint64(99), Show: ShowToken}, "unknown"},
	} {
		if got := c.arg.String(); got != c.want {
			t.Errorf("%v shown as %d is %q, want %q", c.arg.Value, c.arg.Show, got, c.want)
		}
	}
}

// TestCallsFitTheirReport looks for words of the stage that a report would cut short.
func TestCallsFitTheirReport(t *testing.T) {
	sources, err := filepath.Glob("stage/*.c")
	if err != nil || len(sources) == 0 {
		t.Fatalf("no sources: %v", err)
	}
	call := regexp.MustCompile(`\b(?:check|fail|fs_fail)\([^;"]*?"([^"]*)"`)
	for _, name := range sources {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range call.FindAllSubmatch(text, -1) {
			if len(m[1]) >= len(wireReport{}.Call) {
				t.Errorf("%s: %q has more than %d bytes", name, m[1], len(wireReport{}.Call)-1)
			}
		}
	}
}
