package devices

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"slices"
)

// Instruction is one eBPF instruction (Documentation/bpf/standardization/instruction-set).
type Instruction struct {
	Op       uint8
	Dst, Src uint8
	Off      int16
	Imm      int32
}

// Operation codes that a device program is made of.
const (
	opLoad32  = 0x61 // dst = *(u32 *)(src + off)
	opMove    = 0xb7 // dst = imm
	opCopy    = 0xbf // dst = src
	opRight32 = 0x74 // dst >>= imm, 32 bits
	opAnd32   = 0x54 // dst &= imm, 32 bits
	opJump    = 0x05 // goto off
	opEqual   = 0x16 // if dst == imm goto off, 32 bits (since Linux 5.1)
	opDiffers = 0x56 // if dst != imm goto off, 32 bits
	opAnyOf   = 0x46 // if dst & imm goto off, 32 bits
	opExit    = 0x95
)

// Registers. The context in r1 is struct bpf_cgroup_dev_ctx: access_type with the access in
// the upper and the type in the lower half, major, minor.
const (
	rVerdict = 0
	rContext = 1
	rKind    = 2
	rAccess  = 3
	rMajor   = 4
	rMinor   = 5
)

// ErrTooLong is returned for a list whose program exceeds the reach of eBPF's jumps.
var ErrTooLong = errors.New("linux.resources.devices: too many entries for one program")

// Program compiles the policy to a BPF_PROG_TYPE_CGROUP_DEVICE program. It keeps the access
// that is still to be granted in a register: the rules, last one first, strike out what
// they allow, and what is denied before it was struck out ends the search.
func (p *Policy) Program() ([]Instruction, error) {
	c := &compiler{}
	if p.Unrestricted() {
		return []Instruction{{Op: opMove, Dst: rVerdict, Imm: int32(labelAllow)}, {Op: opExit}}, nil
	}
	c.emit(Instruction{Op: opLoad32, Dst: rKind, Src: rContext, Off: 0})
	c.emit(Instruction{Op: opCopy, Dst: rAccess, Src: rKind})
	c.emit(Instruction{Op: opRight32, Dst: rAccess, Imm: 16})
	c.emit(Instruction{Op: opAnd32, Dst: rKind, Imm: 0xffff})
	c.emit(Instruction{Op: opLoad32, Dst: rMajor, Src: rContext, Off: 4})
	c.emit(Instruction{Op: opLoad32, Dst: rMinor, Src: rContext, Off: 8})
	// From here on the register is never 0. An access that is none of the three kinds
	// is nothing a list could deny.
	c.branch(opEqual, rAccess, 0, labelAllow)
	for end := len(p.rules); end > 0; {
		start := end - 1
		for start > 0 && p.rules[start-1].allow == p.rules[start].allow {
			start--
		}
		c.run(p.rules[start:end])
		end = start
	}
	first, second := labelDeny, labelAllow
	if p.allow {
		first, second = second, first
	}
	for _, l := range [...]label{first, second} {
		c.place(l)
		c.emit(Instruction{Op: opMove, Dst: rVerdict, Imm: int32(l)})
		c.emit(Instruction{Op: opExit})
	}
	return c.finish()
}

// label is a place to jump to. The first two have the verdicts' values.
type label int

const (
	labelDeny label = iota
	labelAllow
	labelFirstFree
)

type compiler struct {
	code   []Instruction
	jumps  []jump
	places []int
}

type jump struct {
	at int
	to label
}

func (c *compiler) emit(i Instruction) { c.code = append(c.code, i) }

func (c *compiler) branch(op, reg uint8, imm int32, to label) {
	c.jumps = append(c.jumps, jump{len(c.code), to})
	c.emit(Instruction{Op: op, Dst: reg, Imm: imm})
}

func (c *compiler) place(l label) {
	for len(c.places) <= int(l) {
		c.places = append(c.places, -1)
	}
	c.places[l] = len(c.code)
}

func (c *compiler) newLabel() label {
	if len(c.places) < int(labelFirstFree) {
		c.places = append(c.places, make([]int, int(labelFirstFree)-len(c.places))...)
	}
	c.places = append(c.places, -1)
	return label(len(c.places) - 1)
}

// finish resolves the jumps and leaves out what none of them leads to, such as rules behind
// one that decides about every device: the verifier refuses dead code. All jumps are
// forward, so one pass finds what is alive.
func (c *compiler) finish() ([]Instruction, error) {
	target := make([]int, len(c.code))
	for _, j := range c.jumps {
		target[j.at] = c.places[j.to]
	}
	alive := make([]bool, len(c.code)+1)
	alive[0] = true
	moved := make([]int, len(c.code))
	n := 0
	for at, i := range c.code {
		moved[at] = n
		if !alive[at] {
			continue
		}
		n++
		if target[at] != 0 {
			alive[target[at]] = true
		}
		if i.Op != opJump && i.Op != opExit {
			alive[at+1] = true
		}
	}
	code := make([]Instruction, 0, n)
	for at, i := range c.code {
		if !alive[at] {
			continue
		}
		if target[at] != 0 {
			off := moved[target[at]] - moved[at] - 1
			if off > math.MaxInt16 {
				return nil, ErrTooLong
			}
			i.Off = int16(off)
		}
		code = append(code, i)
	}
	return code, nil
}

// run compiles neighbouring rules of one verdict. Their order doesn't matter, so they are
// grouped to test a type and a major number once for all rules that share it.
func (c *compiler) run(rules []rule) {
	sorted := merge(rules)
	for len(sorted) > 0 {
		kind := sorted[0].kind
		n := 0
		for n < len(sorted) && sorted[n].kind == kind {
			n++
		}
		next := c.newLabel()
		if kind != anyType {
			c.branch(opDiffers, rKind, int32(kind), next)
		}
		c.majors(sorted[:n])
		c.place(next)
		sorted = sorted[n:]
	}
}

func (c *compiler) majors(rules []rule) {
	for len(rules) > 0 {
		major := rules[0].major
		n := 0
		for n < len(rules) && rules[n].major == major {
			n++
		}
		next := c.newLabel()
		if major != wildcard {
			c.branch(opDiffers, rMajor, int32(uint32(major)), next)
		}
		for _, r := range rules[:n] {
			c.minor(r)
		}
		c.place(next)
		rules = rules[n:]
	}
}

// minor compiles the rest of a rule, for a device of its type and major number.
func (c *compiler) minor(r rule) {
	verdict := labelDeny
	if r.allow {
		verdict = labelAllow
	}
	if r.access == all && r.minor != wildcard {
		c.branch(opEqual, rMinor, int32(uint32(r.minor)), verdict)
		return
	}
	next := c.newLabel()
	if r.minor != wildcard {
		c.branch(opDiffers, rMinor, int32(uint32(r.minor)), next)
	}
	switch {
	case r.access == all:
		c.branch(opJump, 0, 0, verdict)
	case r.allow:
		c.emit(Instruction{Op: opAnd32, Dst: rAccess, Imm: ^int32(r.access)})
		c.branch(opEqual, rAccess, 0, labelAllow)
	default:
		c.branch(opAnyOf, rAccess, int32(r.access), labelDeny)
	}
	c.place(next)
}

// merge sorts rules of one verdict by device and makes one of those for the same device.
func merge(rules []rule) []rule {
	sorted := slices.Clone(rules)
	slices.SortStableFunc(sorted, func(a, b rule) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.major, b.major), cmp.Compare(a.minor, b.minor))
	})
	merged := sorted[:0]
	for _, r := range sorted {
		if n := len(merged); n > 0 && merged[n-1].pattern == r.pattern {
			merged[n-1].access |= r.access
			continue
		}
		merged = append(merged, r)
	}
	return merged
}

// encode writes instructions as bpf(2) takes them on a little-endian machine, which all are
// that davit is built for.
func encode(code []Instruction) []byte {
	b := make([]byte, 0, 8*len(code))
	for _, i := range code {
		b = append(b, i.Op, i.Dst|i.Src<<4)
		b = binary.LittleEndian.AppendUint16(b, uint16(i.Off))
		b = binary.LittleEndian.AppendUint32(b, uint32(i.Imm))
	}
	return b
}
