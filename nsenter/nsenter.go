// Package nsenter builds and enters namespaces: it holds the instruction set
// of davit's stage, its encoding, the stage itself (stage/*.c, a small static
// program embedded in davit), and the conversation with a running one.
//
// A [Program] is a list of instructions that somebody else decided on. [Start]
// runs a stage from a sealed memfd; [Stage.Send] hands it a program;
// [Stage.Receive] tells what became of it. The stage's process clones the
// container's, as a child of the caller, and the last instruction of the last
// program turns that child into the container's process.
//
// The caller needs no hook in its main and no copy of itself on disk.
package nsenter

// Op is one instruction; its types are generated from package isa.
type Op interface {
	// Word is the instruction's name in explanations and errors.
	Word() string
	// Args lists the operands for explanations.
	Args() []Arg

	encode(*encoder)
}

// Instr is an instruction of a program.
type Instr struct {
	Field string // the config field that it comes from, as a JSON path; "" where davit itself asks for it
	Op    Op
}

// Program is what a stage executes in one go.
type Program []Instr

// Slot is an index into the stage's table of descriptors, which [Stage.Send] fills in order.
type Slot int32

// None is the slot of an operand that isn't used.
const None Slot = -1

// MaxSlots is the number of descriptors that one container can be built with.
const MaxSlots = slots
