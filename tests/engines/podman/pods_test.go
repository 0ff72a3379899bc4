package podman

import (
	"strings"

	"davit/tests/engines/lab"
)

// pod makes one that the scenario's end removes.
func (p podman) pod() string {
	name := p.ID + "-pod"
	p.Cleanup(func() { p.podman("pod", "rm", "-f", "-t", "0", name) })
	p.podman("pod", "create", "--name", name, "--share", "ipc,net,uts,pid", "--network", "none", "--infra-image", image, "--infra-command", "sleep 10000")
	return name
}

// filtered is what Podman 4.3 does as root on version 2: it sets limits of a
// pod, with a device filter that has no rules, on the pod's own cgroup.
const filtered = "Podman itself denies all devices in the cgroup of a pod there"

var podScenarios = []lab.Scenario{
	{Name: "pods", Excuse: filtered, Run: with(func(p podman) {
		pod := p.pod()
		p.Must(p.line("run", p.ID+"-a", "-d", "--pod", pod, "--", "sleep", "999")...)
		links := []string{"sh", "-c", "for n in ipc net uts pid; do readlink /proc/self/ns/$n; done"}
		first := p.podman(append([]string{"exec", p.ID + "-a"}, links...)...)
		p.Equal("namespaces of the second", p.other(append([]string{"--pod", pod, "--"}, links...)...), first)
		p.Contains("processes", p.podman("exec", p.ID+"-a", "ps"), "sleep 999", "sleep 10000")
	})},
	{Name: "pod stop and start", Excuse: filtered, Run: with(func(p podman) {
		pod := p.pod()
		p.Must(p.line("run", p.ID+"-a", "-d", "--pod", pod, "--", "sleep", "999")...)
		p.podman("pod", "stop", "-t", "0", pod)
		p.Equal("status", p.podman("pod", "inspect", "--format", "{{.State}}", pod), "Exited")
		p.podman("pod", "start", pod)
		p.Equal("status", p.podman("pod", "inspect", "--format", "{{.State}}", pod), "Running")
	})},
	{Name: "pod pause", Excuse: filtered, Run: with(func(p podman) {
		p.needsCgroups()
		pod := p.pod()
		p.Must(p.run("-d", "--pod", pod, "--", "sleep", "999")...)
		p.podman("pod", "pause", pod)
		p.Equal("status", p.status(), "paused")
		p.podman("pod", "unpause", pod)
		p.Equal("status", p.status(), "running")
	})},
	{Name: "init containers", Excuse: filtered, Run: with(func(p podman) {
		pod := p.pod()
		volume := p.ID + "-volume"
		p.Cleanup(func() { p.podman("volume", "rm", "-f", volume) })
		p.Must(p.line("create", p.ID+"-init", "--pod", pod, "--init-ctr", "always", "-v", volume+":/data", "--", "sh", "-c", "echo before >>/data/log")...)
		p.Must(p.line("create", p.ID, "--pod", pod, "-v", volume+":/data", "--", "sh", "-c", "echo after >>/data/log; sleep 999")...)
		p.podman("pod", "start", pod)
		p.Eventually("both lines", func() bool {
			return p.Run(p.cmd("exec", p.ID, "cat", "/data/log")...).Stdout == "before\nafter\n"
		})
		p.Cleanup(func() { p.podman("pod", "rm", "-f", "-t", "0", pod) }) // the volume is in use until then
	})},
	{Name: "play kube", Excuse: filtered, Run: with(func(p podman) {
		yaml := p.Write("tmp/"+p.ID+".yaml", strings.ReplaceAll(`apiVersion: v1
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
`, "IMAGE", image), 0o644)
		pod := p.ID + "-kube"
		p.Must("sed", "-i", "s/NAME/"+pod+"/", yaml)
		p.Cleanup(func() { p.podman("play", "kube", "--down", yaml) })
		p.podman("play", "kube", "--network", "none", yaml)
		out := p.podman("exec", pod+"-main", "sh", "-c", "cat log; pwd; echo $GREETING; hostname; id -u; touch /x 2>&1; grep CapEff /proc/self/status")
		p.Contains("output", out, "prepared\n/data\nhello\nship\n1000\n", "Read-only file system", "0000000000000000")
	})},
	{Name: "--systemd always", Run: with(func(p podman) {
		out := p.out("--systemd", "always", "--", "sh", "-c", "echo $container; stat -f -c %T /run /run/lock /tmp; mount | grep -c ' on /sys/fs/cgroup'; touch /run/x && echo writable; cat /etc/machine-id 2>/dev/null | wc -c")
		lines := strings.Split(out, "\n")
		p.Equal("output", lines[:4], []string{"podman", "tmpfs", "tmpfs", "tmpfs"})
		p.Equal("/run", lines[5], "writable")
	})},
}

var buildScenarios = []lab.Scenario{
	{Name: "build", Run: with(func(p podman) {
		tag := "davit.test/" + p.ID
		p.Write("tmp/"+p.ID+"/Dockerfile", "FROM "+image+"\nWORKDIR /built\nRUN echo built >file && id -u >who\nUSER alice\nRUN id -un >/tmp/who\nCMD [\"cat\", \"/built/file\", \"/built/who\", \"/tmp/who\"]\n", 0o644)
		p.Cleanup(func() { p.podman("rmi", "-f", tag) })
		p.podman("build", "--network", "none", "-t", tag, p.Path("tmp", p.ID))
		line := p.run("--rm")
		line[len(line)-1] = tag
		p.Equal("output", p.Must(line...), "built\n0\nalice")
	})},
	{Name: "build that fails", Run: with(func(p podman) {
		p.Write("tmp/"+p.ID+"/Dockerfile", "FROM "+image+"\nRUN exit 5\n", 0o644)
		out := p.Run(p.cmd("build", "--network", "none", p.Path("tmp", p.ID))...)
		if out.Code == 0 {
			p.Fatalf("it should fail: %v", out)
		}
		p.Contains("error", out.Stderr, "exit status 5")
	})},
}
