package libcontainer

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"davit/nsenter"
)

// NeededInterpreter tells from the beginning of a program's file what else has
// to be there to execute it: the loader of an ELF file, the interpreter of a
// script, or nothing, "". The error says why this machine can't execute it at all.
func NeededInterpreter(head []byte) (string, error) {
	refused := func(errno unix.Errno) error {
		return errors.New(diagnose(&nsenter.ExecError{Errno: errno, Head: head}))
	}
	switch {
	case bytes.HasPrefix(head, []byte("#!")):
		line, _, _ := bytes.Cut(head[2:], []byte("\n"))
		fields := strings.Fields(string(line))
		if len(fields) == 0 || bytes.HasSuffix(line, []byte("\r")) {
			return "", refused(unix.ENOENT)
		}
		return fields[0], nil
	case bytes.HasPrefix(head, []byte(elf.ELFMAG)) && len(head) >= 20:
		order := binary.ByteOrder(binary.LittleEndian)
		if elf.Data(head[elf.EI_DATA]) == elf.ELFDATA2MSB {
			order = binary.BigEndian
		}
		if !executable(elf.Machine(order.Uint16(head[18:]))) {
			return "", refused(unix.ENOEXEC)
		}
		return interpreter(head, order), nil
	}
	return "", refused(unix.ENOEXEC)
}

// executable knows the processors that execute the programs of another.
func executable(m elf.Machine) bool {
	switch native := nativeMachine(); native {
	case elf.EM_X86_64:
		return m == native || m == elf.EM_386
	case elf.EM_AARCH64:
		return m == native || m == elf.EM_ARM
	default:
		return m == native
	}
}
