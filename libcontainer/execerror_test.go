package libcontainer

import (
	"debug/elf"
	"encoding/binary"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"davit/nsenter"
)

// elfHead is the beginning of a 64-bit ELF program for a machine, with an interpreter if it has one.
func elfHead(machine elf.Machine, interp string) []byte {
	h := make([]byte, 64+56)
	copy(h, elf.ELFMAG)
	h[elf.EI_CLASS], h[elf.EI_DATA] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB)
	binary.LittleEndian.PutUint16(h[18:], uint16(machine))
	binary.LittleEndian.PutUint64(h[32:], 64)
	binary.LittleEndian.PutUint16(h[54:], 56)
	if interp != "" {
		binary.LittleEndian.PutUint16(h[56:], 1)
		binary.LittleEndian.PutUint32(h[64:], uint32(elf.PT_INTERP))
		binary.LittleEndian.PutUint64(h[72:], uint64(len(h)))
		binary.LittleEndian.PutUint64(h[96:], uint64(len(interp)+1))
		h = append(append(h, interp...), 0)
	}
	return h
}

func TestExecFailuresInWords(t *testing.T) {
	foreign := elf.EM_S390
	for _, c := range []struct {
		name  string
		errno unix.Errno
		head  []byte
		want  string
	}{
		{"missing loader", unix.ENOENT, elfHead(nativeMachine(), "/lib/ld-none.so"), "the loader /lib/ld-none.so"},
		{"wrong architecture", unix.ENOEXEC, elfHead(foreign, ""), "built for s390x"},
		{"damaged ELF", unix.ENOEXEC, elfHead(nativeMachine(), ""), "damaged"},
		{"ELF cut off", unix.ENOEXEC, []byte(elf.ELFMAG), "cut off"},
		{"CRLF", unix.ENOENT, []byte("#!/bin/sh\r\necho\r\n"), "CR LF"},
		{"missing shebang interpreter", unix.ENOENT, []byte("#!/usr/bin/ruby -w\n"), "the interpreter /usr/bin/ruby"},
		{"empty shebang", unix.ENOEXEC, []byte("#!\n"), "names no interpreter"},
		{"no shebang", unix.ENOEXEC, []byte("echo hello\n"), "neither an ELF program nor a script"},
		{"empty file", unix.ENOEXEC, nil, "the file is empty"},
		{"denied", unix.EACCES, nil, "not executable"},
	} {
		err := explainStart(&nsenter.ExecError{Path: "/x", Errno: c.errno, Head: c.head}, "/x")
		if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.errno.Error()) {
			t.Errorf("%s: %q lacks %q or the errno's text", c.name, err, c.want)
		}
	}
}

func TestMissingProgramKeepsThePhrasesOfEngines(t *testing.T) {
	lookUp := func(errno unix.Errno) error {
		return &nsenter.InstrError{Instr: nsenter.Instr{Op: nsenter.LookUp{}}, Call: "exec", Errno: errno}
	}
	for _, c := range []struct {
		errno      unix.Errno
		arg0, want string
	}{
		{unix.ENOENT, "foo", `exec: "foo": executable file not found in $PATH`},
		{unix.ENOENT, "/bin/foo", `exec: "/bin/foo": stat /bin/foo: no such file or directory`},
		{unix.EACCES, "/etc/passwd", `exec: "/etc/passwd": permission denied`},
		{unix.EISDIR, "/etc", `exec: "/etc": is a directory: permission denied`},
	} {
		if got := explainStart(lookUp(c.errno), c.arg0).Error(); got != c.want {
			t.Errorf("%s %q: got %q, want %q", c.errno, c.arg0, got, c.want)
		}
	}
}

// FuzzDiagnose: the head of the file is the image's, and must not make davit panic.
func FuzzDiagnose(f *testing.F) {
	f.Add(elfHead(nativeMachine(), "/lib/ld.so"), int(unix.ENOENT))
	f.Add([]byte("#! \r"), int(unix.ENOENT))
	f.Add([]byte(elf.ELFMAG+"\x02\x02"), int(unix.ENOEXEC))
	f.Fuzz(func(t *testing.T, head []byte, errno int) {
		err := explainStart(&nsenter.ExecError{Path: "/x", Errno: unix.Errno(errno), Head: head}, "x")
		if strings.ContainsRune(err.Error(), '\n') {
			t.Errorf("the file's content breaks the line: %q", err)
		}
	})
}
