package kubelet

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// must takes the answer of a call that has to succeed.
func must[T any](answer T, err error) func(k kubelet) T {
	return func(k kubelet) T {
		if err != nil {
			k.Fatalf("%v", err)
		}
		return answer
	}
}

// pod is a sandbox that ends with the scenario.
type pod struct {
	kubelet
	id     string
	config *cri.PodSandboxConfig
	made   *int
}

// pod runs a sandbox with the scenario's runtime.
func (k kubelet) pod(change ...func(*cri.PodSandboxConfig)) pod { return k.podOf(k.Runtime, change...) }

func (k kubelet) podOf(runtime string, change ...func(*cri.PodSandboxConfig)) pod {
	name := k.ID + "-" + runtime
	config := &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: name, Uid: name, Namespace: "default"},
		Labels:       map[string]string{"io.kubernetes.pod.name": name, "io.kubernetes.pod.namespace": "default", "io.kubernetes.pod.uid": name},
		Hostname:     name,
		LogDirectory: k.Path("logs", name),
		Linux: &cri.LinuxPodSandboxConfig{
			CgroupParent: k.cgroupParent(),
			SecurityContext: &cri.LinuxSandboxSecurityContext{
				NamespaceOptions: &cri.NamespaceOption{Pid: cri.NamespaceMode_CONTAINER},
			},
		},
	}
	for _, f := range change {
		f(config)
	}
	id := must(k.RunPodSandbox(k.ctx, &cri.RunPodSandboxRequest{Config: config, RuntimeHandler: runtime}))(k).PodSandboxId
	k.Cleanup(func() {
		// As a kubelet does: left to the sandbox's end, CRI-O waits as long as the call may take.
		for _, c := range must(k.ListContainers(k.ctx, &cri.ListContainersRequest{Filter: &cri.ContainerFilter{PodSandboxId: id}}))(k).Containers {
			if c.State == cri.ContainerState_CONTAINER_RUNNING {
				must(k.StopContainer(k.ctx, &cri.StopContainerRequest{ContainerId: c.Id}))(k)
			}
		}
		must(k.StopPodSandbox(k.ctx, &cri.StopPodSandboxRequest{PodSandboxId: id}))(k)
		must(k.RemovePodSandbox(k.ctx, &cri.RemovePodSandboxRequest{PodSandboxId: id}))(k)
	})
	return pod{k, id, config, new(int)}
}

// status is what's known of a sandbox; the pid is that of its first process, in the cell.
func (p pod) status() *cri.PodSandboxStatus {
	return must(p.PodSandboxStatus(p.ctx, &cri.PodSandboxStatusRequest{PodSandboxId: p.id}))(p.kubelet).Status
}

// container is one of a pod.
type container struct {
	pod
	id  string
	log string
}

// create makes a container that isn't started yet.
func (p pod) create(change func(*cri.ContainerConfig), command ...string) container {
	return must(p.tryCreate(change, command...))(p.kubelet)
}

func (p pod) tryCreate(change func(*cri.ContainerConfig), command ...string) (container, error) {
	*p.made++
	name := fmt.Sprintf("c%d", *p.made)
	config := &cri.ContainerConfig{
		Metadata: &cri.ContainerMetadata{Name: name},
		Image:    &cri.ImageSpec{Image: Image, UserSpecifiedImage: Image},
		Labels:   map[string]string{"io.kubernetes.container.name": name, "io.kubernetes.pod.name": p.config.Metadata.Name, "io.kubernetes.pod.namespace": "default"},
		Command:  command,
		LogPath:  name + ".log",
		Linux: &cri.LinuxContainerConfig{
			Resources: &cri.LinuxContainerResources{},
			SecurityContext: &cri.LinuxContainerSecurityContext{
				NamespaceOptions: p.config.Linux.SecurityContext.NamespaceOptions,
			},
		},
	}
	if change != nil {
		change(config)
	}
	request := &cri.CreateContainerRequest{PodSandboxId: p.id, Config: config, SandboxConfig: p.config}
	answer, err := p.CreateContainer(p.ctx, request)
	return container{p, answer.GetContainerId(), filepath.Join(p.config.LogDirectory, config.LogPath)}, err
}

// start makes and starts a container.
func (p pod) start(change func(*cri.ContainerConfig), command ...string) container {
	c := p.create(change, command...)
	must(p.StartContainer(p.ctx, &cri.StartContainerRequest{ContainerId: c.id}))(p.kubelet)
	return c
}

// run makes and starts a container, waits for its end, and returns its output and exit status.
func (p pod) run(change func(*cri.ContainerConfig), command ...string) (string, int32) {
	c := p.start(change, command...)
	c.wait()
	return c.output(), c.state().ExitCode
}

func (c container) state() *cri.ContainerStatus {
	return must(c.ContainerStatus(c.ctx, &cri.ContainerStatusRequest{ContainerId: c.id}))(c.kubelet).Status
}

func (c container) wait() {
	c.Eventually("the container's end", func() bool { return c.state().State == cri.ContainerState_CONTAINER_EXITED })
}

// output is what the container wrote, of both streams, without what the log says of the lines.
func (c container) output() string {
	text, err := os.ReadFile(c.log)
	if err != nil {
		c.Fatalf("%v", err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		// TIME STREAM F|P TEXT
		if f := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4); len(f) == 4 {
			lines = append(lines, f[3])
		}
	}
	return strings.Join(lines, "\n")
}

// exec runs a command in the container and waits for it.
func (c container) exec(command ...string) *cri.ExecSyncResponse {
	return must(c.ExecSync(c.ctx, &cri.ExecSyncRequest{ContainerId: c.id, Cmd: command, Timeout: 30}))(c.kubelet)
}

// out is what a command in the container that has to succeed writes.
func (c container) out(command ...string) string {
	answer := c.exec(command...)
	if answer.ExitCode != 0 {
		c.Fatalf("%v: exit status %d: %s", command, answer.ExitCode, answer.Stderr)
	}
	return strings.TrimRight(string(answer.Stdout), "\n")
}

// pid is that of the container's first process, in the cell.
func (c container) pid() string {
	return pidOf(c.kubelet, must(c.ContainerStatus(c.ctx, &cri.ContainerStatusRequest{ContainerId: c.id, Verbose: true}))(c.kubelet).Info)
}

// pid is that of the sandbox's first process, in the cell; "0" where there is none.
func (p pod) pid() string {
	return pidOf(p.kubelet, must(p.PodSandboxStatus(p.ctx, &cri.PodSandboxStatusRequest{PodSandboxId: p.id, Verbose: true}))(p.kubelet).Info)
}

func pidOf(k kubelet, info map[string]string) string {
	var about struct{ Pid int }
	if err := json.Unmarshal([]byte(info["info"]), &about); err != nil {
		k.Fatalf("the verbose status %q: %v", info, err)
	}
	return strconv.Itoa(about.Pid)
}
