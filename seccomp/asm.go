package seccomp

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	opLoad    = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	opAnd     = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	opEqual   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	opGreater = unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K
	opAtLeast = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	opAnyOf   = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
	opJump    = unix.BPF_JMP | unix.BPF_JA
	opReturn  = unix.BPF_RET | unix.BPF_K
)

// Offsets in struct seccomp_data.
const (
	offsetNr   = 0
	offsetArch = 4
	offsetArgs = 16
)

// insnSize is that of struct sock_filter.
const insnSize = 8

// assembler writes BPF whose jumps go to labels. All jumps go forward.
type assembler struct{ insns []insn }

type insn struct {
	code    uint16
	jt, jf  uint8
	k       uint32
	ifTrue  *label // sets jt, or k of opJump
	ifFalse *label // sets jf
}

// label is a place in the program. In a test, nil stands for the next instruction.
type label struct{ at int }

func (a *assembler) do(code uint16, k uint32) { a.insns = append(a.insns, insn{code: code, k: k}) }

func (a *assembler) test(code uint16, k uint32, ifTrue, ifFalse *label) {
	a.insns = append(a.insns, insn{code: code, k: k, ifTrue: ifTrue, ifFalse: ifFalse})
}

func (a *assembler) jump(to *label) { a.insns = append(a.insns, insn{code: opJump, ifTrue: to}) }

func (a *assembler) place(l *label) { l.at = len(a.insns) }

// link returns the program. A test reaches 255 instructions, a jump all of
// them; that no test goes further follows from how sections are made.
func (a *assembler) link() []byte {
	out := make([]byte, 0, len(a.insns)*insnSize)
	for i, in := range a.insns {
		distance := func(l *label) uint8 {
			d := l.at - i - 1
			if d < 0 || d > 255 {
				panic(fmt.Sprintf("seccomp: instruction %d tests for a jump over %d", i, d))
			}
			return uint8(d)
		}
		if in.code == opJump && in.ifTrue != nil {
			in.k = uint32(in.ifTrue.at - i - 1)
		} else {
			if in.ifTrue != nil {
				in.jt = distance(in.ifTrue)
			}
			if in.ifFalse != nil {
				in.jf = distance(in.ifFalse)
			}
		}
		out = binary.NativeEndian.AppendUint16(out, in.code)
		out = append(out, in.jt, in.jf)
		out = binary.NativeEndian.AppendUint32(out, in.k)
	}
	return out
}
