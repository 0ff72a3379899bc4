package main

import (
	"fmt"
	"strings"
)

// A suite is a package of tests.
type suite struct {
	name    string
	dir     string // below the module
	run     string // which of its tests, unless all
	skip    string // which not
	minutes int
}

// A kind is a machine with what runs in it.
type kind struct {
	name   string
	lsm    string
	suites []suite
}

var machines = [...]kind{
	{"apparmor", "apparmor", []suite{
		{name: "vm", dir: "tests/vm", minutes: 10},
		{name: "cgroups", dir: "cgroups", minutes: 5},
		{name: "devices", dir: "cgroups/devices", skip: "^TestV1", minutes: 5},
		{name: "apparmor", dir: "apparmor", minutes: 2},
		{name: "cgroups-containers", dir: "tests/cgroups", minutes: 10},
		{name: "rootless", dir: "tests/rootless", minutes: 20},
		{name: "security", dir: "tests/security", skip: rounds, minutes: 10},
		{name: "integration", dir: "tests/integration", skip: crashes, minutes: 30},
		{name: "process", dir: "tests/process", minutes: 30},
		{name: "systemd", dir: "tests/systemd", minutes: 10},
		{name: "checkpoint", dir: "tests/checkpoint", minutes: 20},
	}},
	{"selinux", "selinux", []suite{
		{name: "vm", dir: "tests/vm", run: "SELinux", minutes: 10},
		{name: "integration", dir: "tests/integration", skip: crashes, minutes: 30},
	}},
}

// crashes follow each system call, which takes an emulated processor many minutes, and depends on nothing that this host hasn't.
const crashes = "^TestCrash"

// rounds make containers by the hundred, of which the same is true.
const rounds = "^TestHostileRootfs|^TestRacing"

// selection is what the command line leaves of it.
type selection struct {
	suite, run string
}

func (k *kind) chosen(s selection) []suite {
	var out []suite
	for _, x := range k.suites {
		if s.suite == "" || s.suite == x.name {
			out = append(out, x)
		}
	}
	return out
}

// The marks between suites in a machine's output.
const (
	beginMark = "davit-vm: begin "
	endMark   = "davit-vm: end "
)

// environment is how the tests find what was packed for them. go.mod tells the harness where the sources begin. Bundles are
// on the disk: a tmpfs knows no I/O limits, and that on /tmp has no devices.
const environment = `#!/bin/sh
export TMPDIR=/var/tmp DAVIT=/job/davit DAVIT_TEST_PROGRAMS=/job/programs DAVIT_TEST_SLOW=4 DAVIT_VM=%s PATH="/job:$PATH"
`

// script runs suites one after the other. What a test leaves on its last line doesn't hide a mark.
func (k *kind) script(suites []suite, s selection) string {
	var b strings.Builder
	fmt.Fprintf(&b, environment, k.name)
	b.WriteString("code=0\n")
	for _, x := range suites {
		flags := "-test.short -test.v=test2json"
		for _, f := range [...][2]string{{"-test.run", x.run}, {"-test.skip", x.skip}} {
			if f[0] == "-test.run" && s.run != "" {
				f[1] = s.run
			}
			if f[1] != "" {
				flags += fmt.Sprintf(" %s '%s'", f[0], f[1])
			}
		}
		fmt.Fprintf(&b, "echo; echo '%s%s'\n", beginMark, x.name)
		fmt.Fprintf(&b, "(cd /job/src/%s && exec timeout -k 10 %d /job/tests/%s.test -test.timeout %dm %s); c=$?\n", x.dir, x.minutes*60+30, x.name, x.minutes, flags)
		fmt.Fprintf(&b, "echo; echo '%s%s' $c; [ $c = 0 ] || code=1\n", endMark, x.name)
	}
	b.WriteString("exit $code\n")
	return b.String()
}

func shell(command string) string { return fmt.Sprintf(environment, "") + command + "\n" }
