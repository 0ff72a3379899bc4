//go:build !cgo

package nsenter

// Early returns the stage that davit's main function started before the Go runtime: none, without C.
func Early() *Stage { return nil }

// CallersTimers gives the calling thread the timer slack of davit's caller: it has it.
func CallersTimers() {}
