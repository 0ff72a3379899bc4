package seccomp

import (
	"encoding/binary"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// operands are the number that a condition compares with, and the bits of the
// argument that count.
func operands(arg specs.LinuxSeccompArg) (value, mask uint64) {
	if arg.Op == specs.OpMaskedEqual {
		return arg.ValueTwo & arg.Value, arg.Value
	}
	return arg.Value, 1<<64 - 1
}

// outcome of a condition that doesn't depend on the argument.
type outcome uint8

const (
	open outcome = iota
	always
	never
)

// onNarrow says what comes of a condition on an architecture whose arguments
// have 32 bits. There the upper half is zero, so that no argument reaches 1<<32;
// a negative number of 64 bits is meant as the same one of 32.
func onNarrow(arg specs.LinuxSeccompArg) outcome {
	value, mask := operands(arg)
	negative := value>>31 == 1<<33-1
	switch {
	case value>>32 == 0, negative && mask>>32 == 1<<32-1:
		return open
	case arg.Op == specs.OpNotEqual, arg.Op == specs.OpLessThan, arg.Op == specs.OpLessEqual:
		return always
	}
	return never
}

// write returns the action of the first rule that holds. The accumulator is lost.
func (d *decision) write(a *assembler, wordSize int) {
	for _, r := range d.rules {
		var conds []specs.LinuxSeccompArg
		possible := true
		for _, arg := range r.args {
			o := open
			if wordSize == 4 {
				o = onNarrow(arg)
			}
			possible = possible && o != never
			if o == open {
				conds = append(conds, arg)
			}
		}
		if !possible {
			continue
		}
		var failed label
		for _, arg := range conds {
			writeCondition(a, arg, wordSize, &failed)
		}
		a.do(opReturn, uint32(r.action))
		a.place(&failed)
		if len(conds) == 0 {
			return
		}
	}
	a.do(opReturn, uint32(d.action))
}

// writeCondition goes on where the condition holds, and to failed otherwise. On
// an architecture of 32 bits the kernel ignores the upper half of a register,
// which a 64-bit program can fill (by int 0x80 on x86-64), and so does the filter.
func writeCondition(a *assembler, arg specs.LinuxSeccompArg, wordSize int, failed *label) {
	low := offsetArgs + 8*uint32(arg.Index)
	high := low + 4
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		low, high = high, low
	}
	value, mask := operands(arg)
	var holds label
	if wordSize == 8 && mask>>32 != 0 {
		writeUpper(a, arg.Op, high, uint32(value>>32), uint32(mask>>32), &holds, failed)
	}
	l := uint32(value)
	a.do(opLoad, low)
	switch arg.Op {
	case specs.OpMaskedEqual:
		a.do(opAnd, uint32(mask))
		a.test(opEqual, l, nil, failed)
	case specs.OpEqualTo:
		a.test(opEqual, l, nil, failed)
	case specs.OpNotEqual:
		a.test(opEqual, l, failed, nil)
	case specs.OpGreaterThan:
		a.test(opGreater, l, nil, failed)
	case specs.OpGreaterEqual:
		a.test(opAtLeast, l, nil, failed)
	case specs.OpLessThan:
		a.test(opAtLeast, l, failed, nil)
	case specs.OpLessEqual:
		a.test(opGreater, l, failed, nil)
	}
	a.place(&holds)
}

// writeUpper goes on where the lower half decides.
func writeUpper(a *assembler, op specs.LinuxSeccompOperator, offset, h, mask uint32, holds, failed *label) {
	a.do(opLoad, offset)
	switch op {
	case specs.OpMaskedEqual:
		a.do(opAnd, mask)
		a.test(opEqual, h, nil, failed)
	case specs.OpEqualTo:
		a.test(opEqual, h, nil, failed)
	case specs.OpNotEqual:
		a.test(opEqual, h, nil, holds)
	case specs.OpGreaterThan, specs.OpGreaterEqual:
		a.test(opGreater, h, holds, nil)
		a.test(opEqual, h, nil, failed)
	case specs.OpLessThan, specs.OpLessEqual:
		a.test(opGreater, h, failed, nil)
		a.test(opEqual, h, nil, holds)
	}
}

// wordSize is the size of an argument in bytes. x32 and n32 pass 32 bits.
func wordSize(a specs.Arch) int {
	switch a {
	case specs.ArchX86_64, specs.ArchAARCH64, specs.ArchLOONGARCH64, specs.ArchMIPS64, specs.ArchMIPSEL64,
		specs.ArchPARISC64, specs.ArchPPC64, specs.ArchPPC64LE, specs.ArchRISCV64, specs.ArchS390X:
		return 8
	}
	return 4
}
