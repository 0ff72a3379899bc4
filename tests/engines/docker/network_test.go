package docker

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"davit/tests/engines/lab"
)

// fetch asks an address of the cell's network for a page until there's one.
func (d docker) fetch(address, want string) {
	transport := &http.Transport{
		DialContext:       func(_ context.Context, network, address string) (net.Conn, error) { return d.Dial(network, address) },
		DisableKeepAlives: true,
	}
	web := http.Client{Transport: transport, Timeout: 5 * time.Second}
	d.Eventually("http://"+address+" has "+want, func() bool {
		answer, err := web.Get("http://" + address + "/")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		page, _ := io.ReadAll(answer.Body)
		return strings.Contains(string(page), want)
	})
}

// server answers every request for a page with "served".
const server = `exec nc -ll -p 80 -e sh -c 'while read x && [ "${#x}" -gt 1 ]; do :; done; echo HTTP/1.0 200 OK; echo; echo served'`

// askWeb gets a page from the container with the name web. Debian's static wget crashes.
const askWeb = `echo GET / | nc -w 2 web 80`

var networkScenarios = []lab.Scenario{
	{Name: "--network none", Run: with(func(d docker) {
		d.Equal("devices", d.out("--network", "none", "--", "ls", "/sys/class/net"), "lo")
	})},
	{Name: "--network bridge", Run: with(func(d docker) {
		d.detached("--", "sh", "-c", server)
		d.fetch(d.inspect("{{.NetworkSettings.IPAddress}}")+":80", "served")
		d.Contains("devices", d.exec("ip", "addr"), "eth0", d.inspect("{{.NetworkSettings.IPAddress}}"))
	})},
	{Name: "--network host", Run: with(func(d docker) {
		d.Equal("namespace", d.out("--network", "host", "--", "readlink", "/proc/self/ns/net"), d.Must("readlink", "/proc/self/ns/net"))
	})},
	{Name: "a network of one's own", Run: with(func(d docker) {
		network, other := d.ID+"-net", d.ID+"-other"
		d.docker("network", "create", "--subnet", "10.77.0.0/24", network)
		d.Cleanup(func() { d.docker("network", "rm", network) })
		d.detached("--network", network, "--ip", "10.77.0.9", "--network-alias", "web", "--", "sh", "-c", server)
		d.Cleanup(func() { d.docker("rm", "-f", other) })
		d.docker("run", "-d", "--runtime", d.Runtime, "--name", other, "--network", network, image, "sleep", "1000")
		d.Eventually("the page", func() bool {
			return strings.Contains(d.Run(d.cmd("exec", other, "sh", "-c", askWeb)...).Stdout, "served")
		})
	})},
	{Name: "network connect and disconnect", Run: with(func(d docker) {
		network := d.ID + "-net"
		d.docker("network", "create", network)
		d.Cleanup(func() { d.docker("network", "rm", network) })
		d.detached()
		d.docker("network", "connect", network, d.ID)
		d.Contains("devices", d.exec("ls", "/sys/class/net"), "eth0", "eth1")
		d.docker("network", "disconnect", network, d.ID)
		d.Equal("devices", d.exec("ls", "/sys/class/net"), "eth0\nlo")
	})},
	{Name: "-p", Run: with(func(d docker) {
		d.detached("-p", "127.0.0.1:8080:80", "-p", "8081:80", "--", "sh", "-c", server)
		d.fetch("127.0.0.1:8080", "served")
		d.fetch("127.0.0.1:8081", "served")
		d.Contains("ports", d.docker("port", d.ID, "80"), "127.0.0.1:8080", "0.0.0.0:8081")
	})},
}

var imageScenarios = []lab.Scenario{
	{Name: "build (classic)", Run: with(func(d docker) {
		if d.Runtime != "davit" {
			d.Skipf("a build takes the daemon's default runtime")
		}
		tag := "davit.test/" + d.ID
		d.Write(d.ID+"/file", "of the context", 0o644)
		d.Write(d.ID+"/Dockerfile", fmt.Sprintf(`FROM %s
COPY file /srv/
RUN echo "built by $(id -un)" >/srv/built && echo bob:x:1001:1000::/:/bin/sh >>/etc/passwd
WORKDIR /srv
USER bob
RUN id -un >/tmp/who
ENTRYPOINT ["sh", "-c", "cat file built /tmp/who; exit 4"]
`, image), 0o644)
		d.Cleanup(func() { d.docker("rmi", "-f", tag) })
		d.Must("env", "DOCKER_BUILDKIT=0", client, "build", "-t", tag, d.Path(d.ID))
		d.Equal("output", d.Want(4, d.cmd("run", "--rm", tag)...).Out(), "of the contextbuilt by root\nbob")
	})},
	{Name: "build that fails", Run: with(func(d docker) {
		if d.Runtime != "davit" {
			d.Skipf("a build takes the daemon's default runtime")
		}
		d.Write(d.ID+"/Dockerfile", "FROM "+image+"\nRUN exit 33\n", 0o644)
		out := d.Run("env", "DOCKER_BUILDKIT=0", client, "build", "--force-rm", d.Path(d.ID))
		d.Contains("error", out.Stdout+out.Stderr, "returned a non-zero code: 33")
	})},
	{Name: "save and load", Run: with(func(d docker) {
		d.docker("save", "-o", d.Path(d.ID+".tar"), image)
		d.docker("load", "-i", d.Path(d.ID+".tar"))
		d.end(0, "true")
	})},
}
