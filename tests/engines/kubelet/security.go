package kubelet

import (
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"davit/tests/engines/lab"
)

// secured changes a container's security context.
func secured(change func(*cri.LinuxContainerSecurityContext)) func(*cri.ContainerConfig) {
	return func(c *cri.ContainerConfig) { change(c.Linux.SecurityContext) }
}

var securityScenarios = []scenario{
	{Name: "seccomp RuntimeDefault", Run: func(k kubelet) {
		p := k.pod()
		runtimeDefault := &cri.SecurityProfile{ProfileType: cri.SecurityProfile_RuntimeDefault}
		out, _ := p.run(secured(func(c *cri.LinuxContainerSecurityContext) { c.Seccomp = runtimeDefault }),
			"sh", "-c", "grep Seccomp: /proc/self/status; unshare -U true 2>/dev/null || echo refused")
		k.Contains("output", out, "Seccomp:\t2", "refused")
		out, _ = p.run(nil, "grep", "Seccomp:", "/proc/self/status")
		k.Equal("without a profile", out, "Seccomp:\t0")
	}},
	{Name: "seccomp Localhost", Run: func(k kubelet) {
		profile := k.Write(k.ID+"/profile.json", `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}`, 0o644)
		out, _ := k.pod().run(secured(func(c *cri.LinuxContainerSecurityContext) {
			c.Seccomp = &cri.SecurityProfile{ProfileType: cri.SecurityProfile_Localhost, LocalhostRef: profile}
		}), "sh", "-c", "mkdir /tmp/x 2>&1; true")
		k.Contains("output", out, "Operation not supported")
	}},
	{Name: "run as user", Run: func(k kubelet) {
		p := k.pod()
		out, _ := p.run(secured(func(c *cri.LinuxContainerSecurityContext) {
			c.RunAsUser, c.RunAsGroup = &cri.Int64Value{Value: 1234}, &cri.Int64Value{Value: 4321}
			c.SupplementalGroups = []int64{77, 88}
		}), "sh", "-c", "id -u; id -g; id -G")
		k.Equal("ids", out, "1234\n4321\n4321 77 88")
		out, _ = p.run(secured(func(c *cri.LinuxContainerSecurityContext) { c.RunAsUsername = "alice" }), "sh", "-c", "id -un; grep CapEff /proc/self/status")
		k.Equal("a name", out, "alice\nCapEff:\t0000000000000000")
	}},
	{Name: "read-only rootfs", Run: func(k kubelet) {
		out, status := k.pod().run(secured(func(c *cri.LinuxContainerSecurityContext) { c.ReadonlyRootfs = true }), "touch", "/x")
		k.Equal("exit status", status, 1)
		k.Contains("output", out, "Read-only file system")
	}},
	{Name: "capabilities", Run: func(k kubelet) {
		p := k.pod()
		out, _ := p.run(secured(func(c *cri.LinuxContainerSecurityContext) {
			c.Capabilities = &cri.Capability{DropCapabilities: []string{"ALL"}, AddCapabilities: []string{"NET_BIND_SERVICE"}}
		}), "grep", "CapEff", "/proc/self/status")
		k.Equal("only one", out, "CapEff:\t0000000000000400")
		out, _ = p.run(secured(func(c *cri.LinuxContainerSecurityContext) {
			c.Capabilities = &cri.Capability{AddCapabilities: []string{"SYS_ADMIN"}, DropCapabilities: []string{"CHOWN"}}
		}), "grep", "CapEff", "/proc/self/status")
		k.Equal("one more, one less", out, "CapEff:\t00000000a82425fa")
	}},
	{Name: "no new privileges", Run: func(k kubelet) {
		out, _ := k.pod().run(secured(func(c *cri.LinuxContainerSecurityContext) { c.NoNewPrivs = true }), "grep", "NoNewPrivs", "/proc/self/status")
		k.Equal("status", out, "NoNewPrivs:\t1")
	}},
	{Name: "masked and read-only paths", Run: func(k kubelet) {
		out, _ := k.pod().run(secured(func(c *cri.LinuxContainerSecurityContext) {
			c.MaskedPaths, c.ReadonlyPaths = []string{"/proc/keys", "/proc/acpi"}, []string{"/proc/sys"}
		}), "sh", "-c", "cat /proc/keys | wc -c; echo 1 2>&1 >/proc/sys/kernel/msgmax; true")
		k.Contains("output", out, "0\n", "Read-only file system")
	}},
	{Name: "volumes", Run: func(k kubelet) {
		k.Write(k.ID+"/file", "of the host", 0o644)
		out, _ := k.pod().run(func(c *cri.ContainerConfig) {
			c.Mounts = []*cri.Mount{
				{ContainerPath: "/ro", HostPath: k.Path(k.ID), Readonly: true},
				{ContainerPath: "/rw", HostPath: k.Path(k.ID), Propagation: cri.MountPropagation_PROPAGATION_BIDIRECTIONAL},
				{ContainerPath: "/slave", HostPath: k.Path(k.ID), Propagation: cri.MountPropagation_PROPAGATION_HOST_TO_CONTAINER},
			}
		}, "sh", "-c", `cat /ro/file; echo; touch /ro/x 2>&1; touch /rw/made; awk '$5=="/rw" || $5=="/slave" {print $5, $7, $8}' /proc/self/mountinfo`)
		k.Contains("output", out, "of the host", "Read-only file system", "/rw shared:", "/slave shared:", " master:")
		k.Must("test", "-e", k.Path(k.ID, "made"))
	}},
	{Name: "devices", Run: func(k kubelet) {
		out, _ := k.pod().run(func(c *cri.ContainerConfig) {
			c.Devices = []*cri.Device{{HostPath: "/dev/loop-control", ContainerPath: "/dev/mine", Permissions: "r"}}
		}, "sh", "-c", "stat -c '%t:%T' /dev/mine; exec 3</dev/mine && echo readable; exec 3>/dev/mine || echo not writable")
		k.Contains("output", out, "a:ed", "readable", "Operation not permitted")
	}},
	{Name: "privileged", Excuse: lab.NoResource, Run: func(k kubelet) {
		p := k.pod(func(c *cri.PodSandboxConfig) { c.Linux.SecurityContext.Privileged = true })
		out, _ := p.run(secured(func(c *cri.LinuxContainerSecurityContext) { c.Privileged = true }), "grep", "CapEff", "/proc/self/status")
		k.Contains("output", out, "000001ffffffffff")
	}},
}
