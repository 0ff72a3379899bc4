package kubelet

import (
	"fmt"
	"os"
	"slices"
	"strings"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

var processScenarios = []scenario{
	{Name: "logs and exit status", Run: func(k kubelet) {
		c := k.pod().start(nil, "sh", "-c", "echo to stdout; echo to stderr >&2; exit 3")
		c.wait()
		k.Equal("exit status", c.state().ExitCode, 3)
		k.Equal("reason", c.state().Reason, "Error")
		log, err := os.ReadFile(c.log)
		if err != nil {
			k.Fatalf("%v", err)
		}
		k.Contains("log", string(log), " stdout F to stdout\n", " stderr F to stderr\n")
	}},
	{Name: "environment and working directory", Run: func(k kubelet) {
		out, _ := k.pod().run(func(c *cri.ContainerConfig) {
			c.WorkingDir = "/home/alice"
			c.Envs = []*cri.KeyValue{{Key: "GREETING", Value: "hello"}}
		}, "sh", "-c", "pwd; echo $GREETING")
		k.Equal("output", out, "/home/alice\nhello")
	}},
	{Name: "a program that doesn't exist", Run: func(k kubelet) {
		p := k.pod()
		c, err := p.tryCreate(nil, "no-such-program")
		created := err == nil // by containerd, which calls the runtime's create at the start
		if created {
			_, err = k.StartContainer(k.ctx, &cri.StartContainerRequest{ContainerId: c.id})
		}
		if err == nil {
			k.Fatalf("it was started")
		}
		k.Contains("error", err.Error(), "no-such-program", "executable file not found in $PATH")
		if created {
			k.Equal("exit status", c.state().ExitCode, 128)
		}
		out, _ := p.run(nil, "echo", "the pod goes on")
		k.Equal("output", out, "the pod goes on")
	}},
	{Name: "exec sync", Run: func(k kubelet) {
		c := k.pod().start(nil, "sleep", "1000")
		answer := c.exec("sh", "-c", "echo out; echo err >&2; exit 4")
		k.Equal("answer", []any{string(answer.Stdout), string(answer.Stderr), answer.ExitCode}, []any{"out\n", "err\n", 4})
		fails := func(command string, words ...string) {
			answer, err := k.ExecSync(k.ctx, &cri.ExecSyncRequest{ContainerId: c.id, Cmd: strings.Fields(command), Timeout: 1})
			text := fmt.Sprintf("%v %s", err, answer.GetStderr()) // CRI-O says it on the command's stderr
			if err == nil && answer.ExitCode == 0 || !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) }) {
				k.Fatalf("expected of %s one of %q: %s", command, words, text)
			}
		}
		fails("sleep 100", "timeout", "timed out")
		fails("no-such-program", "executable file not found in $PATH")
	}},
	{Name: "exec streaming", Run: func(k kubelet) {
		c := k.pod().start(nil, "sleep", "1000")
		s := c.streamExec(&cri.ExecRequest{Cmd: []string{"sh", "-c", "echo ready; echo warning >&2; read x; echo got $x; exit 5"}, Stdin: true, Stdout: true, Stderr: true})
		s.expect(channelStdout, "ready")
		s.send(channelStdin, "words\n")
		k.Equal("exit status", s.status(), 5)
		k.Equal("stdout", s.received(channelStdout), "ready\ngot words\n")
		k.Equal("stderr", s.received(channelStderr), "warning\n")
	}},
	{Name: "exec streaming with a terminal", Run: func(k kubelet) {
		c := k.pod().start(nil, "sleep", "1000")
		s := c.streamExec(&cri.ExecRequest{Cmd: []string{"sh", "-c", "tty; read x; stty size; exit 6"}, Stdin: true, Stdout: true, Tty: true})
		s.expect(channelStdout, "/dev/pts/")
		s.send(channelResize, `{"Width": 77, "Height": 33}`)
		k.Must("sleep", "0.2") // the size isn't acknowledged
		s.send(channelStdin, "words\n")
		k.Equal("exit status", s.status(), 6)
		k.Contains("output", s.received(channelStdout), "33 77\r\n") // as a raw terminal needs it
	}},
	{Name: "attach", Run: func(k kubelet) {
		c := k.pod().start(func(c *cri.ContainerConfig) { c.Stdin = true }, "sh", "-c", "while read x; do echo got $x; [ $x = end ] && exit 8; done")
		s := c.streamAttach(&cri.AttachRequest{Stdin: true, Stdout: true, Stderr: true})
		s.send(channelStdin, "one\n")
		s.expect(channelStdout, "got one")
		s.send(channelStdin, "end\n")
		c.wait()
		k.Equal("exit status", c.state().ExitCode, 8)
	}},
	{Name: "attach with a terminal", Run: func(k kubelet) {
		c := k.pod().start(func(c *cri.ContainerConfig) { c.Stdin, c.Tty = true, true }, "sh", "-c", "while read x; do tty; stty size; [ $x = end ] && exit 9; done")
		s := c.streamAttach(&cri.AttachRequest{Stdin: true, Stdout: true, Tty: true})
		s.send(channelStdin, "one\n")
		s.expect(channelStdout, "/dev/pts/0")
		s.send(channelResize, `{"Width": 78, "Height": 34}`)
		k.Must("sleep", "0.2") // the size isn't acknowledged
		s.send(channelStdin, "end\n")
		s.expect(channelStdout, "34 78")
		c.wait()
		k.Equal("exit status", c.state().ExitCode, 9)
	}},
	{Name: "stop", Run: func(k kubelet) {
		p := k.pod()
		polite := p.start(nil, "sh", "-c", `trap "exit 42" TERM; touch /tmp/ready; while :; do sleep 0.02; done`)
		k.Eventually("the trap", func() bool { return polite.exec("test", "-e", "/tmp/ready").ExitCode == 0 })
		must(k.StopContainer(k.ctx, &cri.StopContainerRequest{ContainerId: polite.id, Timeout: 20}))(k)
		k.Equal("exit status", polite.state().ExitCode, 42)
		deaf := p.start(nil, "sleep", "1000") // the first process of a pid namespace doesn't die of what it doesn't handle
		must(k.StopContainer(k.ctx, &cri.StopContainerRequest{ContainerId: deaf.id, Timeout: 1}))(k)
		k.Equal("exit status", deaf.state().ExitCode, 137)
	}},
	{Name: "remove and make again", Run: func(k kubelet) {
		p := k.pod()
		for range 3 {
			c := p.start(nil, "sleep", "1000")
			must(k.StopContainer(k.ctx, &cri.StopContainerRequest{ContainerId: c.id}))(k)
			must(k.RemoveContainer(k.ctx, &cri.RemoveContainerRequest{ContainerId: c.id}))(k)
		}
		left := must(k.ListContainers(k.ctx, &cri.ListContainersRequest{Filter: &cri.ContainerFilter{PodSandboxId: p.id}}))(k).Containers
		k.Equal("containers", len(left), 0)
	}},
	{Name: "the engine restarts below a container", Run: func(k kubelet) {
		p := k.pod()
		c := p.start(nil, "sleep", "1000")
		before := c.pid()
		k.node.Restart()
		k.Eventually("the engine serves pods again", func() bool {
			_, err := k.ListPodSandbox(k.ctx, &cri.ListPodSandboxRequest{})
			return err == nil
		})
		k.Equal("pid", c.pid(), before)
		k.Equal("output", c.out("echo", "still here"), "still here")
	}},
	{Name: "the sandbox dies", Run: func(k kubelet) {
		p := k.pod()
		c := p.start(nil, "sleep", "1000")
		if p.pid() == "0" {
			k.Skipf("a sandbox has no process of its own here")
		}
		k.Must("kill", "-KILL", p.pid())
		k.Eventually("it isn't ready", func() bool { return p.status().State == cri.PodSandboxState_SANDBOX_NOTREADY })
		must(k.StopContainer(k.ctx, &cri.StopContainerRequest{ContainerId: c.id}))(k)
		k.Equal("exit status", c.state().ExitCode, 137)
	}},
}
