package kubelet

import (
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// features are what the engine says of its runtime handler davit: it has asked `davit features`.
func (k kubelet) features() *cri.RuntimeHandlerFeatures {
	for _, h := range must(k.Status(k.ctx, &cri.StatusRequest{}))(k).RuntimeHandlers {
		if h.Name == "davit" {
			if h.Features == nil {
				k.Fatalf("the engine knows nothing of davit's features")
			}
			return h.Features
		}
	}
	k.Skipf("this release doesn't ask a runtime for its features")
	return nil
}

// The first 65536 users of a pod are these of the node.
const firstUser = 300000

func users() []*cri.IDMapping {
	return []*cri.IDMapping{{HostId: firstUser, Length: 65536}}
}

// inUserNamespace gives a pod one of its own.
func inUserNamespace(c *cri.PodSandboxConfig) {
	c.Linux.SecurityContext.NamespaceOptions.UsernsOptions = &cri.UserNamespace{Mode: cri.NamespaceMode_POD, Uids: users(), Gids: users()}
}

// handlerScenarios are about what a kubelet only asks of a runtime that says it can.
var handlerScenarios = []scenario{
	{Name: "what the runtime can", Run: func(k kubelet) {
		can := k.features()
		k.Equal("recursively read-only mounts", can.RecursiveReadOnlyMounts, true)
		k.Equal("user namespaces", can.UserNamespaces, true)
		out, _ := k.pod().run(nil, "echo", "it is davit")
		k.Equal("output", out, "it is davit")
	}},
	{Name: "recursively read-only volume", Run: func(k kubelet) {
		k.features()
		dir := k.Path(k.ID)
		k.Must("mkdir", "-p", dir+"/below")
		k.Must("mount", "-t", "tmpfs", "tmpfs", dir+"/below")
		k.Cleanup(func() { k.Must("umount", dir+"/below") })
		p := k.pod()
		for _, recursive := range []bool{false, true} {
			out, _ := p.run(func(c *cri.ContainerConfig) {
				c.Mounts = []*cri.Mount{{ContainerPath: "/mnt", HostPath: dir, Readonly: true, RecursiveReadOnly: recursive}}
			}, "sh", "-c", "touch /mnt/x 2>&1; touch /mnt/below/x 2>&1 && echo writable")
			k.Contains("what can be written", out, "/mnt/x: Read-only file system")
			if recursive {
				k.Contains("what can be written below", out, "/mnt/below/x: Read-only file system")
			} else {
				k.Contains("what can be written below", out, "writable")
			}
		}
	}},
	{Name: "pod in a user namespace", Run: func(k kubelet) {
		k.features()
		p := k.pod(inUserNamespace)
		c := p.start(nil, "sleep", "1000")
		two := p.start(secured(func(c *cri.LinuxContainerSecurityContext) {
			c.RunAsUser, c.RunAsGroup = &cri.Int64Value{Value: 1000}, &cri.Int64Value{Value: 1000}
		}), "sleep", "1000")
		k.Equal("mapping", c.out("awk", "{print $1, $2, $3}", "/proc/self/uid_map"), "0 300000 65536")
		k.Equal("the users on the node", k.Must("stat", "-c", "%u", "/proc/"+c.pid(), "/proc/"+two.pid()), "300000\n301000")
		k.Equal("namespaces", c.out("stat", "-L", "-c", "%i", "/proc/self/ns/user", "/proc/self/ns/net"), two.out("stat", "-L", "-c", "%i", "/proc/self/ns/user", "/proc/self/ns/net"))
		// The image's files are those of the users inside; nobody else's are to be seen.
		k.Equal("owners", c.out("stat", "-c", "%u", "/etc/passwd", "/home/alice", "/proc/1", "/dev/pts"), "0\n1000\n0\n0")
		c.out("sh", "-c", "touch /tmp/mine; chown 1000 /tmp/mine; mount -t tmpfs none /mnt 2>/dev/null; hostname other 2>/dev/null; true")
		k.Equal("owner", two.out("id", "-u"), "1000")
		k.Contains("network", c.out("ip", "addr", "show", "eth0"), p.status().Network.Ip)
	}},
	{Name: "volume of a pod in a user namespace", Run: func(k kubelet) {
		k.features()
		dir := k.Path(k.ID)
		k.Write(k.ID+"/file", "of the node's root", 0o600)
		k.Must("chmod", "700", dir)
		k.Must("mkdir", "-p", dir+"/below")
		k.Must("mount", "-t", "tmpfs", "tmpfs", dir+"/below")
		k.Cleanup(func() { k.Must("umount", dir+"/below") })
		out, _ := k.pod(inUserNamespace).run(func(c *cri.ContainerConfig) {
			c.Mounts = []*cri.Mount{
				{ContainerPath: "/mapped", HostPath: dir, UidMappings: users(), GidMappings: users()},
				{ContainerPath: "/readonly", HostPath: dir, UidMappings: users(), GidMappings: users(), Readonly: true},
			}
		}, "sh", "-c", "cat /mapped/file; stat -c %u:%g /mapped/file; echo made >/mapped/made && chown 7:8 /mapped/made; touch /readonly/x 2>&1")
		k.Contains("output", out, "of the node's root", "0:0\n", "/readonly/x: Read-only file system")
		k.Equal("owner on the node", k.Must("stat", "-c", "%u:%g", dir+"/made"), "7:8")
	}},
	{Name: "exec, stop and update in a user namespace", Run: func(k kubelet) {
		k.features()
		c := k.pod(inUserNamespace).start(nil, "sh", "-c", `trap "exit 42" TERM; touch /tmp/ready; while :; do sleep 0.02; done`)
		k.Eventually("the trap", func() bool { return c.exec("test", "-e", "/tmp/ready").ExitCode == 0 })
		s := c.streamExec(&cri.ExecRequest{Cmd: []string{"sh", "-c", "tty; id -u; read x; exit 5"}, Stdin: true, Stdout: true, Tty: true})
		s.expect(channelStdout, "\r\n0\r\n")
		s.send(channelStdin, "words\n")
		k.Equal("exit status", s.status(), 5)
		k.Contains("terminal", s.received(channelStdout), "/dev/pts/", "\r\n0\r\n")
		if k.Has("memory") {
			must(k.UpdateContainerResources(k.ctx, &cri.UpdateContainerResourcesRequest{
				ContainerId: c.id, Linux: &cri.LinuxContainerResources{MemoryLimitInBytes: 64 << 20},
			}))(k)
		}
		must(k.StopContainer(k.ctx, &cri.StopContainerRequest{ContainerId: c.id, Timeout: 20}))(k)
		k.Equal("exit status", c.state().ExitCode, 42)
	}},
	{Name: "volume of an image", Run: func(k kubelet) {
		k.features()
		out, _ := k.pod().run(func(c *cri.ContainerConfig) {
			c.Mounts = []*cri.Mount{{ContainerPath: "/image", Image: &cri.ImageSpec{Image: Image, UserSpecifiedImage: Image}, Readonly: true}}
		}, "sh", "-c", "grep -c alice /image/etc/passwd; touch /image/x 2>&1")
		k.Contains("output", out, "1\n", "/image/x: Read-only file system")
	}},
}
