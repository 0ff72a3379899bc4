package libcontainer

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/libcontainer/plan"
	"davit/nsenter"
)

// inUserNamespace is a plan of a container with a user namespace.
func inUserNamespace(t *testing.T) *plan.Plan {
	t.Helper()
	own := []specs.LinuxIDMapping{{Size: 1}}
	p, err := plan.Compile(&plan.Input{Rootfs: "/", Spec: &specs.Spec{Root: &specs.Root{Path: "/"}, Linux: &specs.Linux{
		Namespaces: []specs.LinuxNamespace{{Type: specs.UserNamespace}, {Type: specs.MountNamespace}}, UIDMappings: own, GIDMappings: own}}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What can't be had on every host: the parameters of other distributions' kernels. The rest is in tests/rootless, with real causes.
func TestDeniedByParameters(t *testing.T) {
	clone := nsenter.Clone{Flags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS}
	for _, c := range []struct {
		op     nsenter.Op
		errno  unix.Errno
		euid   int
		sysctl map[string]string
		want   string
	}{
		{clone, unix.EPERM, 1000, map[string]string{debianAllows: "0"}, "sysctl -w kernel.unprivileged_userns_clone=1"},
		{clone, unix.EPERM, 1000, map[string]string{debianAllows: "1"}, "chroot"},
		{clone, unix.EPERM, 0, map[string]string{debianAllows: "0"}, "chroot"},
		{nsenter.Clone{Flags: unix.CLONE_NEWNS}, unix.EPERM, 0, nil, "CAP_SYS_ADMIN"},
		{clone, unix.ENOSPC, 1000, map[string]string{"user/max_user_namespaces": "9", "user/max_mnt_namespaces": "0", "user/max_net_namespaces": "0"}, "sysctl user.max_mnt_namespaces is 0"},
		{clone, unix.ENOSPC, 1000, map[string]string{"user/max_user_namespaces": "9", "user/max_mnt_namespaces": "8"}, "user.max_user_namespaces = 9, user.max_mnt_namespaces = 8,"},
		{clone, unix.EINVAL, 1000, nil, "CONFIG_USER_NS"},
		{clone, unix.EACCES, 1000, map[string]string{appArmorRestricts: "1"}, "AppArmor"},
		{clone, unix.EACCES, 1000, nil, "security module"},
		{clone, unix.ENOSYS, 0, nil, "seccomp profile"},
		{nsenter.Propagation{}, unix.EACCES, 1000, map[string]string{appArmorRestricts: "1"}, "AppArmor"},
		{nsenter.Mount{Type: "tmpfs"}, unix.EPERM, 1000, map[string]string{appArmorRestricts: "1"}, "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"},
		{nsenter.Mount{Type: "tmpfs"}, unix.EPERM, 1000, map[string]string{appArmorRestricts: "0"}, ""},
		{nsenter.Mount{Type: "tmpfs"}, unix.EPERM, 0, map[string]string{appArmorRestricts: "1"}, ""},
		{nsenter.Mkdir{}, unix.EROFS, 1000, map[string]string{appArmorRestricts: "1"}, ""},
	} {
		d := denial{in: &nsenter.InstrError{Instr: nsenter.Instr{Op: c.op}, Errno: c.errno}, plan: inUserNamespace(t), euid: c.euid, sysctl: func(name string) string { return c.sysctl[name] }}
		if got := d.hint(); !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%T %v as %d with %v: %q, want %q", c.op, c.errno, c.euid, c.sysctl, got, c.want)
		}
	}
}
