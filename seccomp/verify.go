package seccomp

import "fmt"

// Verification
//
// libseccomp leaves out a load where the accumulator holds the word already, and
// writes blocks of equal instructions once. libseccomp 2.5.4 does the second
// without a look at the first: two comparisons with the same number, one of
// the upper half of an argument and one of the lower half, whose loads were
// left out, become one. On one of the two ways to it the accumulator then holds
// the wrong half, and the program denies what it should allow, or the reverse.
//
// A right program knows at each comparison what it compares. So programs are
// checked for that before they are used: see verify. One that fails is made
// again without what libseccomp could merge: see generate.

// accumulator is what is known about BPF's register A before an instruction.
type accumulator struct {
	state  accumulatorState
	offset uint32 // in struct seccomp_data, of what was loaded
	mask   uint32 // what opAnd left of it
}

type accumulatorState uint8

const (
	unreached accumulatorState = iota // no path comes here
	loaded                            // the same on all paths
	unclear                           // not loaded yet, or different from path to path
)

func (a accumulator) join(b accumulator) accumulator {
	switch {
	case a.state == unreached || a == b:
		return b
	case b.state == unreached:
		return a
	}
	return accumulator{state: unclear}
}

// verify follows all paths through a program and returns an error if a
// comparison can be reached with different words in the accumulator, or with
// none, or if a path leaves the program. Jumps only go forward, so one pass sees
// all ways to an instruction before the instruction.
func verify(program []byte) error {
	before := make([]accumulator, len(program)/insnSize+1)
	end := uint64(len(before) - 1)
	before[0].state = unclear
	for pc := range end {
		a := before[pc]
		if a.state == unreached {
			continue
		}
		reach := func(distance uint32) {
			to := min(pc+1+uint64(distance), end)
			before[to] = before[to].join(a)
		}
		switch in := decode(program[pc*insnSize:]); in.code {
		case opLoad:
			a = accumulator{loaded, in.k, 1<<32 - 1}
			reach(0)
		case opAnd:
			a.mask &= in.k
			reach(0)
		case opEqual, opGreater, opAtLeast, opAnyOf:
			if a.state != loaded {
				return fmt.Errorf("instruction %d compares what differs from path to path", pc)
			}
			reach(uint32(in.jt))
			reach(uint32(in.jf))
		case opJump:
			reach(in.k)
		case opReturn:
		default:
			return fmt.Errorf("instruction %d has the unexpected code %#x", pc, in.code)
		}
	}
	if before[end].state != unreached {
		return fmt.Errorf("a path leads past the last of %d instructions", end)
	}
	return nil
}
