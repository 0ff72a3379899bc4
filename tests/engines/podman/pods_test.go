package podman

import (
	"strings"

	"davit/tests/engines/dockercli"
)

// pod makes one that the scenario's end removes.
func pod(c dockercli.C) string {
	name := c.ID + "-pod"
	c.Cleanup(func() { c.Do("pod", "rm", "-f", "-t", "0", name) })
	c.Do("pod", "create", "--name", name, "--share", "ipc,net,uts,pid", "--network", "none", "--infra-image", c.Image, "--infra-command", "sleep 10000")
	return name
}

// filtered is what Podman 4.3 does as root on version 2: it sets limits of a
// pod, with a device filter that has no rules, on the pod's own cgroup.
const filtered = "Podman itself denies all devices in the cgroup of a pod there"

var podScenarios = []dockercli.Scenario{
	{Name: "pods", Excuse: filtered, Run: func(c dockercli.C) {
		pod := pod(c)
		c.Must(c.Make("run", c.ID+"-a", "-d", "--pod", pod, "--", "sleep", "999")...)
		links := []string{"sh", "-c", "for n in ipc net uts pid; do readlink /proc/self/ns/$n; done"}
		first := c.Do(append([]string{"exec", c.ID + "-a"}, links...)...)
		c.Equal("namespaces of the second", c.Other(append([]string{"--pod", pod, "--"}, links...)...), first)
		c.Contains("processes", c.Do("exec", c.ID+"-a", "ps"), "sleep 999", "sleep 10000")
	}},
	{Name: "pod stop and start", Excuse: filtered, Run: func(c dockercli.C) {
		pod := pod(c)
		c.Must(c.Make("run", c.ID+"-a", "-d", "--pod", pod, "--", "sleep", "999")...)
		c.Do("pod", "stop", "-t", "0", pod)
		c.Equal("status", c.Do("pod", "inspect", "--format", "{{.State}}", pod), "Exited")
		c.Do("pod", "start", pod)
		c.Equal("status", c.Do("pod", "inspect", "--format", "{{.State}}", pod), "Running")
	}},
	{Name: "pod pause", Excuse: filtered, Run: func(c dockercli.C) {
		c.NeedsCgroups()
		pod := pod(c)
		c.Must(c.RunLine("-d", "--pod", pod, "--", "sleep", "999")...)
		c.Do("pod", "pause", pod)
		c.Equal("status", c.Status(), "paused")
		c.Do("pod", "unpause", pod)
		c.Equal("status", c.Status(), "running")
	}},
	{Name: "init containers", Excuse: filtered, Run: func(c dockercli.C) {
		pod := pod(c)
		volume := c.ID + "-volume"
		c.Cleanup(func() { c.Do("volume", "rm", "-f", volume) })
		c.Must(c.Make("create", c.ID+"-init", "--pod", pod, "--init-ctr", "always", "-v", volume+":/data", "--", "sh", "-c", "echo before >>/data/log")...)
		c.Must(c.Make("create", c.ID, "--pod", pod, "-v", volume+":/data", "--", "sh", "-c", "echo after >>/data/log; sleep 999")...)
		c.Do("pod", "start", pod)
		c.Eventually("both lines", func() bool {
			return c.Run(c.Line("exec", c.ID, "cat", "/data/log")...).Stdout == "before\nafter\n"
		})
		c.Cleanup(func() { c.Do("pod", "rm", "-f", "-t", "0", pod) }) // the volume is in use until then
	}},
	{Name: "play kube", Excuse: filtered, Run: func(c dockercli.C) {
		yaml := c.Write("tmp/"+c.ID+".yaml", strings.ReplaceAll(`apiVersion: v1
kind: Pod
metadata:
  name: NAME
  annotations: {io.podman.annotations.init.container.type: always} # Podman 4.3 removes others before it knows of their end
spec:
  hostname: ship
  initContainers:
  - name: first
    image: IMAGE
    command: [sh, -c, "echo prepared >/data/log"]
    volumeMounts: [{name: data, mountPath: /data}]
  containers:
  - name: main
    image: IMAGE
    command: [sh, -c, "sleep 999"]
    workingDir: /data
    env: [{name: GREETING, value: hello}]
    securityContext:
      runAsUser: 1000
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
    volumeMounts: [{name: data, mountPath: /data}]
  volumes:
  - name: data
    emptyDir: {}
`, "IMAGE", c.Image), 0o644)
		pod := c.ID + "-kube"
		c.Must("sed", "-i", "s/NAME/"+pod+"/", yaml)
		c.Cleanup(func() { c.Do("play", "kube", "--down", yaml) })
		c.Do("play", "kube", "--network", "none", yaml)
		out := c.Do("exec", pod+"-main", "sh", "-c", "cat log; pwd; echo $GREETING; hostname; id -u; touch /x 2>&1; grep CapEff /proc/self/status")
		c.Contains("output", out, "prepared\n/data\nhello\nship\n1000\n", "Read-only file system", "0000000000000000")
	}},
	{Name: "--systemd always", Run: func(c dockercli.C) {
		out := c.Out("--systemd", "always", "--", "sh", "-c", "echo $container; stat -f -c %T /run /run/lock /tmp; mount | grep -c ' on /sys/fs/cgroup'; touch /run/x && echo writable; cat /etc/machine-id 2>/dev/null | wc -c")
		lines := strings.Split(out, "\n")
		c.Equal("output", lines[:4], []string{"podman", "tmpfs", "tmpfs", "tmpfs"})
		c.Equal("/run", lines[5], "writable")
	}},
}
