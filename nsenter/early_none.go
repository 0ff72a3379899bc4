//go:build !cgo

package nsenter

// Early returns the stage that davit's main function started before the Go runtime: none, without C.
func Early() *Stage { return nil }

// Concurrent gives the Go runtime its processors back: it has them.
func Concurrent() {}

// Began is when davit's main function was called, before the Go runtime started: it isn't known.
func Began() uint64 { return 0 }

// CallersTimers gives the calling thread the timer slack of davit's caller: it has it.
func CallersTimers() {}
