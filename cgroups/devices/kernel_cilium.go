//go:build cilium_ebpf

package devices

import (
	"bytes"
	"encoding/binary"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// program is a loaded program.
type program struct{ *ebpf.Program }

func (p program) close() { _ = p.Close() }

func load(name string, code []Instruction) (program, error) {
	insns, err := asm.AppendInstructions(nil, bytes.NewReader(encode(code)), binary.LittleEndian, "linux")
	if err != nil {
		return program{}, err
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: name, Type: ebpf.CGroupDevice, License: programLicense, Instructions: insns})
	return program{p}, err
}

func attach(dirfd int, p program, old *program) error {
	opts := link.RawAttachProgramOptions{Target: dirfd, Program: p.Program, Attach: ebpf.AttachCGroupDevice, Flags: unix.BPF_F_ALLOW_MULTI}
	if old != nil {
		opts.Anchor = link.ReplaceProgram(old.Program)
	}
	return link.RawAttachProgram(opts)
}

func detach(dirfd int, p program) error {
	return link.RawDetachProgram(link.RawDetachProgramOptions{Target: dirfd, Program: p.Program, Attach: ebpf.AttachCGroupDevice})
}

// attached returns the ids of the programs in the cgroup itself.
func attached(dirfd int) ([]uint32, error) {
	result, err := link.QueryPrograms(link.QueryOptions{Target: dirfd, Attach: ebpf.AttachCGroupDevice})
	if err != nil {
		return nil, err
	}
	ids := make([]uint32, 0, len(result.Programs))
	for _, p := range result.Programs {
		ids = append(ids, uint32(p.ID))
	}
	return ids, nil
}

func open(id uint32) (program, string, error) {
	p, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
	if err != nil {
		return program{}, "", err
	}
	info, err := p.Info()
	if err != nil {
		p.Close()
		return program{}, "", err
	}
	return program{p}, info.Name, nil
}
