package libcontainer

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"davit/nsenter"
)

// explainStart turns what the stage says about the exec into words: which file,
// the kernel's reason, and where the file's head tells it, the reason behind
// the reason. Other errors are returned as they are.
func explainStart(err error, arg0 string) error {
	var x *nsenter.ExecError
	if errors.As(err, &x) {
		return &StartError{Path: x.Path, Arg0: arg0, Errno: x.Errno, Why: diagnose(x)}
	}
	var in *nsenter.InstrError
	if errors.As(err, &in) {
		if _, ok := in.Instr.Op.(nsenter.LookUp); ok {
			return &StartError{Arg0: arg0, Errno: in.Errno}
		}
		if refused := explainLabel(in); refused != nil {
			return refused
		}
	}
	return err
}

// StartError is a program that can't be executed.
type StartError struct {
	Path  string     // the file that was tried; "" where none was found
	Arg0  string     // process.args[0]
	Errno unix.Errno // the kernel's reason
	Why   string     // what the file itself tells about it, possibly empty
}

func (e *StartError) Error() string {
	if e.Errno == unix.ENOENT && e.Why == "" {
		if strings.Contains(e.Arg0, "/") {
			return fmt.Sprintf("exec: %q: stat %s: no such file or directory", e.Arg0, e.Arg0)
		}
		return fmt.Sprintf("exec: %q: executable file not found in $PATH", e.Arg0)
	}
	if e.Errno == unix.EISDIR {
		return fmt.Sprintf("exec: %q: is a directory: permission denied", e.Arg0)
	}
	if e.Path == "" {
		return fmt.Sprintf("exec: %q: %s", e.Arg0, e.Errno.Error())
	}
	s := fmt.Sprintf("exec %s: %s", e.Path, e.Errno.Error())
	if e.Why != "" {
		s += ": " + e.Why
	}
	return s
}

func (e *StartError) Unwrap() error { return e.Errno }

// diagnose looks at the head of a file that execve(2) refused.
func diagnose(x *nsenter.ExecError) string {
	switch {
	case x.Errno == unix.EACCES:
		return diagnoseDenied(x)
	case len(x.Head) == 0:
		if x.Errno == unix.ENOEXEC {
			return "the file is empty"
		}
		return ""
	case bytes.HasPrefix(x.Head, []byte("#!")):
		return diagnoseScript(x)
	case bytes.HasPrefix(x.Head, []byte(elf.ELFMAG)):
		return diagnoseELF(x)
	case x.Errno == unix.ENOEXEC:
		return "it is neither an ELF program nor a script: does its first line lack a #! with the interpreter?"
	}
	return ""
}

func diagnoseDenied(x *nsenter.ExecError) string {
	return "the file is not executable for the container's user (mode, a noexec mount, or a security module)"
}

func diagnoseScript(x *nsenter.ExecError) string {
	line, _, _ := bytes.Cut(x.Head[2:], []byte("\n"))
	crlf := bytes.HasSuffix(line, []byte("\r"))
	fields := strings.Fields(strings.TrimSuffix(string(line), "\r"))
	switch {
	case len(fields) == 0:
		return "its #! line names no interpreter"
	case crlf:
		return fmt.Sprintf("its first line ends in CR LF, so the kernel looks for an interpreter named %q: save the script with Unix line ends", fields[len(fields)-1]+"\r")
	case x.Errno == unix.ENOENT:
		return fmt.Sprintf("the interpreter %s that its first line names does not exist in the container", fields[0])
	}
	return fmt.Sprintf("it is a script for %s", fields[0])
}

func diagnoseELF(x *nsenter.ExecError) string {
	h := x.Head
	if len(h) < 20 {
		return "the file is cut off within its ELF header"
	}
	order := binary.ByteOrder(binary.LittleEndian)
	if elf.Data(h[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	machine := elf.Machine(order.Uint16(h[18:]))
	if x.Errno == unix.ENOEXEC && machine != nativeMachine() {
		return fmt.Sprintf("it is built for %s and this machine is %s", machineName(machine), machineName(nativeMachine()))
	}
	if x.Errno == unix.ENOENT {
		if interp := interpreter(h, order); interp != "" {
			return fmt.Sprintf("the loader %s that it needs does not exist in the container: is the image for another C library?", interp)
		}
	}
	if x.Errno == unix.ENOEXEC {
		return "the kernel can't load this ELF file: is it damaged?"
	}
	return ""
}

func nativeMachine() elf.Machine {
	switch runtime.GOARCH {
	case "amd64":
		return elf.EM_X86_64
	case "arm64":
		return elf.EM_AARCH64
	case "riscv64":
		return elf.EM_RISCV
	}
	return elf.EM_NONE
}

func machineName(m elf.Machine) string {
	switch m {
	case elf.EM_X86_64:
		return "x86-64"
	case elf.EM_386:
		return "32-bit x86"
	case elf.EM_AARCH64:
		return "arm64"
	case elf.EM_ARM:
		return "32-bit arm"
	case elf.EM_RISCV:
		return "RISC-V"
	case elf.EM_PPC64:
		return "ppc64"
	case elf.EM_S390:
		return "s390x"
	}
	return m.String()
}

// interpreter reads PT_INTERP, elf(5), as far as it is in the head.
func interpreter(h []byte, order binary.ByteOrder) string {
	is64 := elf.Class(h[elf.EI_CLASS]) == elf.ELFCLASS64
	at := func(off uint64, size int) uint64 {
		if off+uint64(size) > uint64(len(h)) || off+uint64(size) < off {
			return 0
		}
		switch size {
		case 2:
			return uint64(order.Uint16(h[off:]))
		case 4:
			return uint64(order.Uint32(h[off:]))
		}
		return order.Uint64(h[off:])
	}
	phoff, entsize, count := at(28, 4), at(42, 2), at(44, 2)
	offAt, sizeAt, word := uint64(4), uint64(16), 4
	if is64 {
		phoff, entsize, count = at(32, 8), at(54, 2), at(56, 2)
		offAt, sizeAt, word = 8, 32, 8
	}
	for i := uint64(0); i < count && i < 64; i++ {
		ph := phoff + i*entsize
		if elf.ProgType(at(ph, 4)) != elf.PT_INTERP {
			continue
		}
		off, size := at(ph+offAt, word), at(ph+sizeAt, word)
		if off+size <= uint64(len(h)) && off+size >= off {
			return string(bytes.TrimRight(h[off:off+size], "\x00"))
		}
	}
	return ""
}
