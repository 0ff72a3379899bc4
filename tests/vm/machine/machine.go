// Package machine boots the system that tests/vm/guest.sh made, in qemu, and runs one job in it.
//
// A job is a tar archive with an executable run at its top. The machine has the host's clock, no network, and nothing
// of the host but the archive; whatever happens to its disk is forgotten.
package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Machine is a kind of boot.
type Machine struct {
	Guest string // the directory that guest.sh filled
	// LSM is the major security module that the kernel runs: apparmor or selinux (enforcing). A kernel runs one of the two.
	LSM     string
	Console string // file for the kernel's messages
}

// ErrNoReport: the machine ended before its job did.
var ErrNoReport = errors.New("the machine ended before its job was done")

// Run boots the machine, writes what the job writes to out, and returns the job's exit code. When ctx ends, so does the machine.
func (m *Machine) Run(ctx context.Context, job string, out io.Writer) (int, error) {
	qemu := os.Getenv("QEMU")
	if qemu == "" {
		qemu = "qemu-system-x86_64"
	}
	line, err := m.arguments(job)
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, qemu, line...)
	report := &lastLine{to: out}
	var complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = report, &complaint
	err = cmd.Run()
	if ctx.Err() != nil {
		return 0, fmt.Errorf("the machine was ended: %w", context.Cause(ctx))
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w\n%s", qemu, err, complaint.Bytes())
	}
	number, ok := strings.CutPrefix(report.text(), "davit-vm: exit ")
	if !ok {
		return 0, fmt.Errorf("%w: see %s", ErrNoReport, m.Console)
	}
	return strconv.Atoi(number)
}

func (m *Machine) arguments(job string) ([]string, error) {
	kernel := []string{"console=ttyS0 quiet panic=-1 reboot=t net.ifnames=0 audit_backlog_limit=8192",
		// What costs an emulated processor most, and protects nobody here.
		"mitigations=off nopti nokaslr no5lvl no_timer_check tsc=reliable rcupdate.rcu_expedited=1"}
	switch m.LSM {
	case "apparmor":
		kernel = append(kernel, "security=apparmor")
	case "selinux":
		kernel = append(kernel, "security=selinux selinux=1 enforcing=1")
	default:
		return nil, fmt.Errorf("no machine runs %q", m.LSM)
	}
	line := []string{"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-M", "q35", "-smp", "2", "-m", "1536"}
	if virtualizes() {
		line = append(line, "-accel", "kvm", "-cpu", "host")
	} else {
		// qemu 7.2 on several threads loses the kernel's cmpxchg16b now and then, and the kernel with it.
		line = append(line, "-accel", "tcg,thread=multi", "-cpu", "max,la57=off,pku=off,cx16=off")
	}
	line = append(line, "-kernel", filepath.Join(m.Guest, "vmlinuz"), "-initrd", filepath.Join(m.Guest, "initrd"), "-append", strings.Join(kernel, " "),
		"-serial", "file:"+m.Console, "-serial", "stdio")
	line = append(line, drive("system", filepath.Join(m.Guest, "disk"), "snapshot=on")...)
	return append(line, drive("job", job, "readonly=on")...), nil
}

func drive(id, file, mode string) []string {
	file = strings.ReplaceAll(file, ",", ",,") // qemu's escape
	return []string{"-drive", "if=none,format=raw,id=" + id + "," + mode + ",file=" + file, "-device", "virtio-blk-pci,drive=" + id}
}

// virtualizes tells whether this host can run the machine on its processor. That /dev/kvm is there isn't enough: some clouds'
// KVM runs only kernels that were made for it.
func virtualizes() bool {
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	f.Close()
	info, _ := os.ReadFile("/proc/cpuinfo")
	return bytes.Contains(info, []byte(" vmx ")) || bytes.Contains(info, []byte(" svm "))
}

// lastLine passes on what is written, and remembers the last line.
type lastLine struct {
	to   io.Writer
	line []byte
}

func (l *lastLine) Write(p []byte) (int, error) {
	l.line = append(l.line, p...)
	trimmed := bytes.TrimRight(l.line, "\r\n")
	if i := bytes.LastIndexByte(trimmed, '\n'); i >= 0 {
		l.line = append([]byte(nil), l.line[i+1:]...)
	}
	return l.to.Write(p)
}

func (l *lastLine) text() string { return string(bytes.TrimSpace(l.line)) }
