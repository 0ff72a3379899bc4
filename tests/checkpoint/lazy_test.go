package checkpoint

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"davit/tests/harness"
)

const pageServer = "127.0.0.1:27277"

// Memory goes to a page server instead of into the images' directory.
func TestPageServer(t *testing.T) {
	needCRIU(t)
	c := newCounting(t)
	c.start()
	if err := os.Mkdir(c.images, 0o700); err != nil {
		t.Fatal(err)
	}
	server := harness.Command(t, "criu", "page-server", "--images-dir", c.images, "--address", "127.0.0.1", "--port", "27277", "-v4", "-o", "server.log")
	server.Begin()
	harness.Eventually(t, "the page server", listening)
	c.checkpoint("--page-server", pageServer).Succeeds()
	server.End().Succeeds()
	at := c.number()
	c.restore(c.ID).Succeeds()
	c.goesOn(at)
}

// Memory stays where it was until the restored processes use it.
func TestLazyPages(t *testing.T) {
	needCRIU(t)
	c := newCounting(t)
	c.start()
	ready, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer ready.Close()
	dump := c.Command("checkpoint", "--image-path", c.images, "--lazy-pages", "--page-server", pageServer, "--status-fd", "3", c.ID)
	dump.ExtraFiles = []*os.File{writer}
	dump.Begin()
	writer.Close()
	if n, err := ready.Read(make([]byte, 1)); n != 1 {
		t.Fatalf("the status descriptor: %v\n%s", err, dump.End().Stderr())
	}
	at := c.number()
	work := filepath.Join(c.Dir, "lazy")
	if err := os.Mkdir(work, 0o700); err != nil {
		t.Fatal(err)
	}
	fetch := harness.Command(t, "criu", "lazy-pages", "--page-server", "--address", "127.0.0.1", "--port", "27277", "--images-dir", c.images, "--work-dir", work, "-v4", "-o", "lazy.log")
	fetch.Begin()
	harness.Eventually(t, "the socket of lazy-pages", func() bool {
		_, err := os.Stat(filepath.Join(work, "lazy-pages.socket"))
		return err == nil
	})
	other := c.ID + "-lazy"
	defer c.Davit("delete", "--force", other)
	c.Spec.Linux.CgroupsPath = "/" + other
	c.WriteConfig()
	c.restore(other, "--lazy-pages", "--work-path", work).Succeeds()
	c.goesOn(at)
	dump.End().Succeeds()
	fetch.End().Succeeds()
	c.goesOn(at)
}

// listening tells whether somebody listens on the page server's port: 27277 is 6A8D, and 0A the state (proc_net(5)).
func listening() bool {
	table, _ := os.ReadFile("/proc/net/tcp")
	return strings.Contains(string(table), ":6A8D 00000000:0000 0A ")
}
