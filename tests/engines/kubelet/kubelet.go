// Package kubelet does to engines what a kubelet does, through the container
// runtime interface: pods, containers, streams, with davit as their runtime.
// Engines that serve the interface share the scenarios.
package kubelet

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"davit/tests/engines/lab"
)

// Images that a node has: that of containers, and that of sandboxes, whose process is [Pause].
const (
	Image      = "davit.test/busybox:latest"
	PauseImage = "davit.test/pause:latest"
)

// Pause is the process of a sandbox.
func Pause() []string { return []string{"sleep", "100000"} }

// Node is what a kubelet works on: an engine in its cell, with the runtime handlers davit and runc.
type Node struct {
	*lab.Engine
	Socket  string // of the interface, as the cell sees it
	Restart func() // kills the engine below its containers, and starts it again
	Systemd *Units // of the cgroup driver systemd; nil for cgroupfs
	Scope   string // what the engine's scopes are called before the container's ID
	Tidy    func() // removes, after a scenario, what the engine itself forgets, whatever the runtime
}

// scenario is one for a kubelet; see [lab.Scenario].
type scenario struct {
	Name   string
	Run    func(kubelet)
	Excuse string
	Beside bool
}

// kubelet is one that runs a scenario's pods.
type kubelet struct {
	*lab.S
	cri.RuntimeServiceClient
	ctx  context.Context
	node *Node
}

// Scenarios runs all that a kubelet does.
func (n *Node) Scenarios(t *testing.T) {
	tables := [][]scenario{podScenarios, processScenarios, securityScenarios, handlerScenarios}
	if n.Systemd != nil {
		tables = append(tables, unitScenarios)
	}
	for _, table := range tables {
		var list []lab.Scenario
		for _, sc := range table {
			list = append(list, lab.Scenario{Name: sc.Name, Excuse: sc.Excuse, Beside: sc.Beside, Run: func(s *lab.S) { sc.Run(n.kubelet(s)) }})
		}
		n.Engine.Scenarios(t, list)
	}
}

func (n *Node) kubelet(s *lab.S) kubelet {
	conn, err := grpc.NewClient("unix://"+s.Inside(n.Socket), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		s.Fatalf("connect to %s: %v", n.Name, err)
	}
	s.Cleanup(n.Tidy)
	ctx, cancel := context.WithTimeout(context.Background(), 2*lab.Patience)
	s.Cleanup(func() {
		cancel()
		conn.Close()
	})
	return kubelet{s, cri.NewRuntimeServiceClient(conn), ctx, n}
}

// Bridge is the configuration of a CNI network for pods, of the plugins in Debian's package.
const Bridge = `{"cniVersion": "0.4.0", "name": "bridge", "plugins": [{"type": "bridge", "bridge": "cni0", "isGateway": true,
 "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.88.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}`

// cgroupParent is that of a pod, as a kubelet names it.
func (k kubelet) cgroupParent() string {
	if k.node.Systemd != nil {
		return "/davitpods.slice/" + k.slice()
	}
	return "/" + k.Mark
}
