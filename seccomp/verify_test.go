package seccomp

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestVerify(t *testing.T) {
	const (
		low  = offsetArgs
		high = offsetArgs + 4
	)
	for _, tt := range []struct {
		name  string
		write func(a *assembler)
		want  string
	}{
		{"one action", func(a *assembler) {}, ""},
		{"two comparisons of one word", func(a *assembler) {
			var end label
			a.do(opLoad, high)
			a.test(opGreater, 3, &end, nil)
			a.test(opEqual, 3, &end, nil)
			a.place(&end)
		}, ""},
		{"different words where none is compared", func(a *assembler) {
			var end label
			a.do(opLoad, high)
			a.test(opEqual, 3, nil, &end)
			a.do(opLoad, low)
			a.test(opEqual, 4, nil, &end)
			a.place(&end)
			a.do(opLoad, high)
			a.test(opAnyOf, 1, nil, nil)
		}, ""},
		{"a shared comparison that both halves reach", func(a *assembler) {
			var shared label
			a.do(opLoad, high)
			a.test(opEqual, 3, nil, &shared)
			a.do(opLoad, low)
			a.test(opEqual, 4, nil, nil)
			a.place(&shared)
			a.test(opGreater, 0, nil, nil)
		}, "instruction 4 compares"},
		{"the same word on both paths, loaded twice", func(a *assembler) {
			var shared label
			a.do(opLoad, high)
			a.test(opEqual, 3, nil, &shared)
			a.do(opLoad, high)
			a.place(&shared)
			a.test(opGreater, 0, nil, nil)
		}, ""},
		{"masked on one path", func(a *assembler) {
			var shared label
			a.do(opLoad, low)
			a.test(opEqual, 3, nil, &shared)
			a.do(opAnd, 0xff)
			a.place(&shared)
			a.test(opEqual, 4, nil, nil)
		}, "instruction 3 compares"},
		{"masked in two steps as in one", func(a *assembler) {
			var other, shared label
			a.do(opLoad, low)
			a.test(opEqual, 3, nil, &other)
			a.do(opAnd, 0xff)
			a.do(opAnd, 0x1f)
			a.jump(&shared)
			a.place(&other)
			a.do(opAnd, 0x1f)
			a.place(&shared)
			a.test(opEqual, 4, nil, nil)
		}, ""},
		{"what no path reaches", func(a *assembler) {
			var end label
			a.jump(&end)
			a.test(opEqual, 3, nil, nil)
			a.place(&end)
		}, ""},
		{"nothing loaded", func(a *assembler) { a.test(opEqual, 3, nil, nil) }, "instruction 0 compares"},
		{"unknown instruction", func(a *assembler) { a.do(unix.BPF_LDX|unix.BPF_IMM, 3) }, "instruction 0 has the unexpected code 0x1"},
		{"jump past the end", func(a *assembler) { a.do(opJump, 1<<32-1) }, "past the last of 2"},
	} {
		var a assembler
		tt.write(&a)
		a.do(opReturn, unix.SECCOMP_RET_ALLOW)
		err := verify(a.link())
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if verify(nil) == nil {
		t.Error("a program of no instructions is right")
	}
}

func BenchmarkVerify(b *testing.B) {
	var a assembler
	for range unix.BPF_MAXINSNS / 2 {
		a.do(opLoad, offsetNr)
		a.test(opEqual, 3, nil, nil)
	}
	a.do(opReturn, 0)
	program := a.link()
	for b.Loop() {
		if err := verify(program); err != nil {
			b.Fatal(err)
		}
	}
}
