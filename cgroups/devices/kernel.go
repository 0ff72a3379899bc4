//go:build !cilium_ebpf

// The handful of bpf(2) calls that a device policy takes. kernel_cilium.go does
// the same by cilium/ebpf and is the reference that the tests hold this against;
// it is not the default because what that library does at init costs every
// invocation of davit, even `state`, half a millisecond.

package devices

import (
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// program is a loaded program.
type program struct{ fd int }

func (p program) close() { unix.Close(p.fd) }

// bpf calls bpf(2) with one of the structs of its union bpf_attr.
func bpf[T any](cmd uintptr, attr *T) (int, error) {
	for {
		r, _, errno := unix.Syscall(unix.SYS_BPF, cmd, uintptr(unsafe.Pointer(attr)), unsafe.Sizeof(*attr))
		switch errno {
		case 0:
			return int(r), nil
		case unix.EINTR, unix.EAGAIN: // the verifier gives way to signals
			continue
		}
		return -1, errno
	}
}

// address returns where something is for as long as pin holds it there.
func address[T any](pin *runtime.Pinner, p *T) uint64 {
	pin.Pin(p)
	return uint64(uintptr(unsafe.Pointer(p)))
}

func load(name string, code []Instruction) (program, error) {
	insns, license := encode(code), []byte(programLicense+"\x00")
	var pin runtime.Pinner
	defer pin.Unpin()
	attr := struct {
		progType, insnCount uint32
		insns, license      uint64
		logLevel, logSize   uint32
		logBuf              uint64
		kernVersion, flags  uint32
		name                [unix.BPF_OBJ_NAME_LEN]byte
	}{
		progType:  unix.BPF_PROG_TYPE_CGROUP_DEVICE,
		insnCount: uint32(len(code)),
		insns:     address(&pin, unsafe.SliceData(insns)),
		license:   address(&pin, unsafe.SliceData(license)),
	}
	copy(attr.name[:len(attr.name)-1], name)
	fd, err := bpf(unix.BPF_PROG_LOAD, &attr)
	return program{fd}, err
}

// attachAttr is bpf_attr of BPF_PROG_ATTACH and BPF_PROG_DETACH.
type attachAttr struct {
	target, prog, attachType, flags, replace uint32
}

func attach(dirfd int, p program, old *program) error {
	attr := attachAttr{target: uint32(dirfd), prog: uint32(p.fd), attachType: unix.BPF_CGROUP_DEVICE, flags: unix.BPF_F_ALLOW_MULTI}
	if old != nil {
		attr.flags |= unix.BPF_F_REPLACE
		attr.replace = uint32(old.fd)
	}
	_, err := bpf(unix.BPF_PROG_ATTACH, &attr)
	return err
}

func detach(dirfd int, p program) error {
	_, err := bpf(unix.BPF_PROG_DETACH, &attachAttr{target: uint32(dirfd), prog: uint32(p.fd), attachType: unix.BPF_CGROUP_DEVICE})
	return err
}

// attached returns the ids of the programs in the cgroup itself.
func attached(dirfd int) ([]uint32, error) {
	ids := make([]uint32, 64) // BPF_CGROUP_MAX_PROGS
	var pin runtime.Pinner
	defer pin.Unpin()
	attr := struct {
		target, attachType, queryFlags, attachFlags uint32
		ids                                         uint64
		count, _                                    uint32
	}{target: uint32(dirfd), attachType: unix.BPF_CGROUP_DEVICE, ids: address(&pin, unsafe.SliceData(ids)), count: uint32(len(ids))}
	_, err := bpf(unix.BPF_PROG_QUERY, &attr)
	if err != nil {
		return nil, err
	}
	return ids[:attr.count], nil
}

func open(id uint32) (program, string, error) {
	byID := struct{ id, next, flags uint32 }{id: id}
	fd, err := bpf(unix.BPF_PROG_GET_FD_BY_ID, &byID)
	if err != nil {
		return program{}, "", err
	}
	// struct bpf_prog_info up to its name
	var info struct {
		_    [64]byte
		name [unix.BPF_OBJ_NAME_LEN]byte
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	attr := struct {
		fd, size uint32
		info     uint64
	}{uint32(fd), uint32(unsafe.Sizeof(info)), address(&pin, &info)}
	if _, err := bpf(unix.BPF_OBJ_GET_INFO_BY_FD, &attr); err != nil {
		unix.Close(fd)
		return program{}, "", err
	}
	name, _, _ := strings.Cut(string(info.name[:]), "\x00")
	return program{fd}, name, nil
}
