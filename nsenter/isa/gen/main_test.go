package main

import (
	"bytes"
	"go/format"
	"os"
	"testing"

	"davit/nsenter/isa"
)

func TestTwinsAreUpToDate(t *testing.T) {
	src, err := format.Source(goSource())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{"../../ops_gen.go": src, "../../stage/isa_gen.h": cHeader()} {
		have, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, want) {
			t.Errorf("%s is not what isa.go defines: run `go generate ./nsenter/isa`", name)
		}
	}
}

func TestInstructionsAreWellFormed(t *testing.T) {
	names, words := map[string]bool{}, map[string]bool{}
	for _, op := range isa.Ops {
		if names[op.Name] || words[op.Word] {
			t.Errorf("%s (%s) is there twice", op.Name, op.Word)
		}
		names[op.Name], words[op.Word] = true, true
		if op.Doc == "" {
			t.Errorf("%s has no doc", op.Name)
		}
		if len(op.Args) > isa.MaxArgs {
			t.Errorf("%s has %d operands, the wire format has room for %d", op.Name, len(op.Args), isa.MaxArgs)
		}
		for _, a := range op.Args {
			if goTypes[a.Kind] == "" || goPut[a.Kind] == "" || cKinds[a.Kind] == "" || shows[a.Show] == "" {
				t.Errorf("%s.%s: kind %d or show %d is not generated", op.Name, a.Name, a.Kind, a.Show)
			}
			if a.Show != isa.Dec && a.Kind != isa.Num {
				t.Errorf("%s.%s: only numbers are shown in a special way", op.Name, a.Name)
			}
		}
	}
	// The stage keeps the tokens that came in as bits of a word.
	if len(isa.Tokens) > 32 {
		t.Errorf("%d tokens don't fit into 32 bits", len(isa.Tokens))
	}
}

func TestDigestCoversTheInstructionSet(t *testing.T) {
	before := digest()
	kind := &isa.Ops[0].Args[0].Kind
	old := *kind
	*kind = isa.Slot
	defer func() { *kind = old }()
	if digest() == before {
		t.Error("another kind of operand leaves the digest as it was")
	}
	*kind = old
	isa.Wire[0].Value++
	defer func() { isa.Wire[0].Value-- }()
	if digest() == before {
		t.Error("another layout leaves the digest as it was")
	}
}

func TestSnake(t *testing.T) {
	for in, want := range map[string]string{"OOMScore": "OOM_SCORE", "IOPriority": "IO_PRIORITY", "UID": "UID", "RSet": "R_SET",
		"NoNewPrivs": "NO_NEW_PRIVS", "BindDevice": "BIND_DEVICE", "Exec": "EXEC"} {
		if got := snake(in); got != want {
			t.Errorf("snake(%s) = %s, want %s", in, got, want)
		}
	}
}
