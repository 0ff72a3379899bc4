package dockercli

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Server is a shell's command line that answers every request for a page with "served".
const Server = `exec nc -ll -p 80 -e sh -c 'while read x && [ "${#x}" -gt 1 ]; do :; done; echo HTTP/1.0 200 OK; echo; echo served'`

// AskWeb is one that gets a page from the container with the name web. Debian's static wget crashes.
const AskWeb = `echo GET / | nc -w 2 web 80`

// Fetch asks an address of the cell's network for a page until it has this text.
func (c C) Fetch(address, want string) {
	transport := &http.Transport{
		DialContext:       func(_ context.Context, network, address string) (net.Conn, error) { return c.Dial(network, address) },
		DisableKeepAlives: true,
	}
	web := http.Client{Transport: transport, Timeout: 5 * time.Second}
	c.Eventually("http://"+address+" has "+want, func() bool {
		answer, err := web.Get("http://" + address + "/")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		page, _ := io.ReadAll(answer.Body)
		return strings.Contains(string(page), want)
	})
}

// served expects the scenario's container, which runs [Server], to answer at
// this address of a network: to the host, or where only containers of an
// ordinary user are in it, to another one.
func (c C) served(network, address string) {
	if !c.Rootless {
		c.Fetch(address+":80", "served")
		return
	}
	other := c.ID + "-asks"
	c.StartAs(other, "--network", network)
	c.Eventually("the page at "+address, func() bool {
		return strings.Contains(c.Run(c.Line("exec", other, "sh", "-c", "echo GET / | nc -w 2 "+address+" 80")...).Stdout, "served")
	})
}

// network makes one that the scenario's end removes.
func (c C) network(flags ...string) string {
	name := c.ID + "-net"
	c.Do(append(append([]string{"network", "create"}, flags...), name)...)
	c.Cleanup(func() { c.Do("network", "rm", name) })
	return name
}

var networkScenarios = []Scenario{
	{Name: "--network none", Run: func(c C) {
		c.Equal("devices", c.Out("--network", "none", "--", "ls", "/sys/class/net"), "lo")
	}},
	{Name: "--network bridge", Run: func(c C) {
		c.Start("--network", "bridge", "--", "sh", "-c", Server)
		c.served("bridge", c.Inspect("{{.NetworkSettings.IPAddress}}"))
		c.Contains("devices", c.Exec("ip", "addr"), "eth0", c.Inspect("{{.NetworkSettings.IPAddress}}"))
	}},
	{Name: "--network host", Run: func(c C) {
		link := []string{"readlink", "/proc/self/ns/net"}
		c.Equal("namespace", c.Out(append([]string{"--network", "host", "--"}, link...)...), c.Must(link...))
	}},
	{Name: "a network of one's own", Run: func(c C) {
		network := c.network("--subnet", "10.77.0.0/24")
		c.Start("--network", network, "--ip", "10.77.0.9", "--network-alias", "web", "--", "sh", "-c", Server)
		c.served(network, "10.77.0.9")
		if !c.Resolves {
			return
		}
		other := c.ID + "-other"
		c.StartAs(other, "--network", network)
		c.Eventually("the page by the container's other name", func() bool {
			return strings.Contains(c.Run(c.Line("exec", other, "sh", "-c", AskWeb)...).Stdout, "served")
		})
	}},
	{Name: "network connect and disconnect", Run: func(c C) {
		network := c.network()
		c.Start("--network", "bridge")
		c.Do("network", "connect", network, c.ID)
		c.Contains("devices", c.Exec("ls", "/sys/class/net"), "eth0", "eth1")
		c.Do("network", "disconnect", network, c.ID)
		c.Equal("devices", c.Exec("ls", "/sys/class/net"), "eth0\nlo")
	}},
	{Name: "-p", Run: func(c C) {
		c.Start("--network", "bridge", "-p", "127.0.0.1:8080:80", "-p", "8081:80", "--", "sh", "-c", Server)
		c.Fetch("127.0.0.1:8080", "served")
		c.Fetch("127.0.0.1:8081", "served")
		c.Contains("ports", c.Do("port", c.ID, "80"), "127.0.0.1:8080", "0.0.0.0:8081")
	}},
}
