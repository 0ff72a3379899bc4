package seccomp

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A program looks up the architecture in a list, the number in a binary tree
// of ranges, and then returns an action or goes to the code for the conditions.
// This code stands once behind all trees, however many calls come to it.

// verdict is what happens to a number: an action, or what a body of code finds.
type verdict struct {
	action action
	body   *body
}

// body is the code for a decision with conditions.
type body struct {
	label
	decision *decision
	wordSize int
}

// assignment gives a verdict to a range of numbers.
type assignment struct {
	numberRange
	verdict
}

// section decides about the calls of one value of seccomp_data.arch: those of
// one architecture, or of x86-64 and x32, which the number tells apart.
type section struct {
	audit uint32
	spans []span
}

// span reaches from its first number to the next span's.
type span struct {
	first uint32
	verdict
}

// fill makes the spans of a range of numbers: as assigned, by ranges that don't
// overlap, and otherwise for the numbers in between.
func fill(all numberRange, assigned []assignment, otherwise verdict) (spans []span) {
	slices.SortStableFunc(assigned, func(a, b assignment) int { return cmp.Compare(a.first, b.first) })
	next, end := uint64(all.first), uint64(all.last)+1
	put := func(v verdict, until uint64) {
		if n := len(spans); n == 0 || spans[n-1].verdict != v {
			spans = append(spans, span{uint32(next), v})
		}
		next = until
	}
	for _, s := range assigned {
		if s.first > all.last {
			break
		}
		if first := uint64(s.first); first > next {
			put(otherwise, first)
		}
		put(s.verdict, min(uint64(s.last)+1, end))
	}
	if next < end {
		put(otherwise, end)
	}
	return spans
}

// shortTree is the number of spans whose tree a test can jump over: each takes
// an instruction, and each pair of neighbours at most two.
const shortTree = 64

// writeTree finds the span of the number in the accumulator.
func writeTree(a *assembler, spans []span) {
	if len(spans) == 1 {
		if b := spans[0].body; b != nil {
			a.jump(&b.label)
		} else {
			a.do(opReturn, uint32(spans[0].action))
		}
		return
	}
	var lower, upper label
	half := len(spans) / 2
	if half <= shortTree {
		a.test(opAtLeast, spans[half].first, &upper, nil)
	} else {
		a.test(opAtLeast, spans[half].first, nil, &lower)
		a.jump(&upper)
		a.place(&lower)
	}
	writeTree(a, spans[:half])
	a.place(&upper)
	writeTree(a, spans[half:])
}

// assemble joins the sections. Calls of other architectures kill the thread, as
// libseccomp does it (SCMP_FLTATR_ACT_BADARCH).
func assemble(sections []section) []byte {
	var a assembler
	a.do(opLoad, offsetArch)
	for _, s := range sections {
		var mine, others label
		a.test(opEqual, s.audit, &mine, nil)
		a.jump(&others)
		a.place(&mine)
		a.do(opLoad, offsetNr)
		writeTree(&a, s.spans)
		a.place(&others)
	}
	a.do(opReturn, unix.SECCOMP_RET_KILL_THREAD)
	written := make(map[*body]bool)
	for _, s := range sections {
		for _, sp := range s.spans {
			if b := sp.body; b != nil && !written[b] {
				written[b] = true
				a.place(&b.label)
				b.decision.write(&a, b.wordSize)
			}
		}
	}
	return a.link()
}

// bodies keeps one for all decisions that come to the same.
type bodies map[string]*body

func (all bodies) verdict(d *decision, a specs.Arch) verdict {
	if len(d.rules) == 0 {
		return verdict{action: d.action}
	}
	key := fmt.Appendf(nil, "%d %x", wordSize(a), d.action)
	for _, r := range d.rules {
		key = fmt.Appendf(key, "\x00%x %s", r.action, conditionsKey(r.args))
	}
	b := all[string(key)]
	if b == nil {
		b = &body{decision: d, wordSize: wordSize(a)}
		all[string(key)] = b
	}
	return verdict{body: b}
}
