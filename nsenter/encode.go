package nsenter

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The wire format, which stage/stage.h declares for the stage: a header, fixed-size
// instructions, a pool of strings. Numbers are in the machine's byte order.
const (
	planMagic   = "davitpln"
	headerSize  = 32
	headerTimed = 28 // where the header says whether the stage is to tell times
	instrSize   = 8 + 8*maxArgs
	planMax     = 64 << 20
)

type encoder struct {
	instr []byte
	pool  []byte
	args  int   // operands of the current instruction
	err   error // the first thing that can't be encoded
	seen  map[string]uint64
}

// Encode lays the program out for the stage. It fails for what the format
// can't hold: a string with a NUL, no instruction at all, or more than 64 MiB.
func (p Program) Encode() ([]byte, error) {
	if len(p) == 0 {
		return nil, errors.New("a program needs an instruction")
	}
	e := &encoder{
		instr: make([]byte, headerSize, headerSize+len(p)*instrSize+4096),
		pool:  make([]byte, 1, 4096),
		seen:  make(map[string]uint64, len(p)),
	}
	for i, in := range p {
		in.Op.encode(e)
		if e.err != nil {
			return nil, fmt.Errorf("instruction %d (%s) of %s: %w", i, in.Op.Word(), in.Field, e.err)
		}
	}
	e.pool = append(e.pool, 0)
	size := len(e.instr) + len(e.pool)
	if size > planMax {
		return nil, fmt.Errorf("the plan has %d bytes, more than the %d that a stage takes", size, planMax)
	}
	h := e.instr[:headerSize]
	copy(h, planMagic)
	for i, v := range []uint32{isaVersion, uint32(size), uint32(len(p)), uint32(len(e.instr)), uint32(len(e.pool)), 0} {
		binary.NativeEndian.PutUint32(h[8+4*i:], v)
	}
	return append(e.instr, e.pool...), nil
}

func (e *encoder) op(code uint32) {
	var in [instrSize]byte
	binary.NativeEndian.PutUint32(in[:], code)
	e.instr = append(e.instr, in[:]...)
	e.args = 0
}

func (e *encoder) num(v uint64) {
	at := len(e.instr) - instrSize + 8 + 8*e.args
	binary.NativeEndian.PutUint64(e.instr[at:], v)
	e.args++
}

func (e *encoder) slot(s Slot) {
	if s < None || s >= MaxSlots {
		e.err = fmt.Errorf("there is no slot %d", s)
	}
	e.num(uint64(int64(s)))
}

func (e *encoder) add(s string) uint64 {
	at := len(e.pool)
	for i := range len(s) {
		if s[i] == 0 {
			e.err = fmt.Errorf("%q has a NUL byte", s)
		}
	}
	e.pool = append(e.pool, s...)
	e.pool = append(e.pool, 0)
	return uint64(at)
}

func (e *encoder) str(s string) {
	if s == "" {
		e.num(0) // the pool begins with a NUL
		return
	}
	at, ok := e.seen[s]
	if !ok {
		at = e.add(s)
		e.seen[s] = at
	}
	e.num(at)
}

func (e *encoder) list(l []string) {
	at := uint64(len(e.pool))
	if len(l) == 0 {
		at = 0
	}
	for _, s := range l {
		e.add(s)
	}
	e.num(at | uint64(len(l))<<32)
}

func (e *encoder) blob(b []byte) {
	if len(b) == 0 {
		e.num(0)
		return
	}
	for len(e.pool)%8 != 0 {
		e.pool = append(e.pool, 0)
	}
	at := uint64(len(e.pool))
	e.pool = append(e.pool, b...)
	e.num(at | uint64(len(b))<<32)
}
