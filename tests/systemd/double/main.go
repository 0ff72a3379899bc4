// Command double is systemd's double (cgroups/systemd/systemdtest) as a process, for tests that
// run engines in namespaces of their own: it listens at systemd's private socket there, makes its
// units' cgroups below a given one, and writes down what it is asked for:
//
//	double -group /GROUP -journal FILE
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"davit/cgroups/systemd/systemdtest"
)

const socket = "/run/systemd/private"

func main() {
	group := flag.String("group", "", "the `cgroup` above all units")
	journal := flag.String("journal", "", "the `file` to write the calls to")
	flag.Parse()
	if err := listen(*group, *journal); err != nil {
		fmt.Fprintln(os.Stderr, "double:", err)
		os.Exit(1)
	}
	select {} // until it is killed
}

func listen(group, journal string) error {
	f, err := os.OpenFile(journal, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		return err
	}
	if err := os.MkdirAll("/run/systemd/system", 0o755); err != nil { // sd_booted(3) looks for it
		return err
	}
	d := systemdtest.New(hierarchies(), group)
	d.Record(f)
	return d.Listen(socket)
}

// hierarchies are those that systemd makes the cgroups of units with Delegate=yes in.
func hierarchies() []string {
	var found []string
	for _, name := range []string{"unified", "systemd", "cpu,cpuacct", "cpu", "cpuacct", "blkio", "memory", "devices", "pids"} {
		dir := "/sys/fs/cgroup/" + name
		if st, err := os.Lstat(dir); err == nil && st.IsDir() {
			found = append(found, dir)
		}
	}
	if found == nil {
		return []string{"/sys/fs/cgroup"}
	}
	return found
}
