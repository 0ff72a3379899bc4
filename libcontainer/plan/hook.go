package plan

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/nsenter"
)

// Namespaces returns the CLONE_NEW* flags of all namespaces that the container doesn't share with its caller by default.
func Namespaces(spec *specs.Spec) (uint64, error) {
	if spec.Linux == nil {
		return 0, nil
	}
	ns, err := sortNamespaces(spec.Linux.Namespaces)
	return ns.created | ns.joined, err
}

// Hook compiles the start of a hook in the container's namespaces. Slot 0 is a pidfd of the container's process.
func Hook(h *specs.Hook, namespaces uint64) nsenter.Program {
	p := make(nsenter.Program, 0, 8)
	add := func(op nsenter.Op) { p = append(p, nsenter.Instr{Op: op}) }
	if namespaces != 0 {
		add(nsenter.Join{Fd: 0, Type: namespaces})
	}
	add(nsenter.Clone{Cgroup: nsenter.None})
	if namespaces&unix.CLONE_NEWUSER != 0 {
		add(nsenter.BecomeRoot{Groups: 2})
	}
	add(nsenter.Session{})
	add(nsenter.Umask{Inherit: 1})
	add(nsenter.CloseFrom{First: 3})
	args := h.Args
	if len(args) == 0 {
		args = []string{h.Path}
	}
	add(nsenter.Exec{Paths: []string{h.Path}, Argv: args, Env: h.Env})
	return p
}

// PrivatePID tells whether a configuration makes a PID namespace, whose processes end with its first one.
func PrivatePID(spec *specs.Spec) (bool, error) {
	if spec.Linux == nil {
		return false, nil
	}
	ns, err := sortNamespaces(spec.Linux.Namespaces)
	return ns.made(unix.CLONE_NEWPID), err
}
