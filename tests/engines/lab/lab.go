// Package lab runs real container engines with davit as their runtime, and
// proves that they did: containerd, Docker, Podman, Buildah, from Debian's
// packages, each in a cell of its own.
//
// # A cell
//
// A [Cell] is a process with mount, network, PID, IPC and UTS namespaces of
// its own: an init that reaps, and that the kernel ends together with all that
// lives below it when the test goes away, however it goes. Inside, / is
// shared as on a host with systemd; /run, /dev/shm and /proc are new; /etc and
// /var/lib are overlays, so that an engine may write what it likes; the cgroup
// filesystems are the host's own ([Hybrid]), only version 1 ([V1]) or only
// version 2 ([V2], with the controllers that version 1 has left). Below
// [Cell.Dir], which has the same path inside and outside, is room for
// everything else. Commands run in it through [Cell.Run], [Cell.Daemon] and
// [Cell.Terminal].
//
// # The proof
//
// Engines are given [Cell.Recorder]("davit") as their runtime: a script that
// writes down how it was called and executes davit. What /usr/sbin/runc and
// /usr/bin/crun are in a cell are such scripts, too. A scenario passes only if
// davit was asked to create, run or restore a container, and no other runtime
// was.
//
// # Scenarios
//
// Those of docker's command line are in package dockercli, for every engine
// that speaks it. A package for an engine calls [Main] in its TestMain, starts
// the engine in a cell, and gives a table of [Scenario] to [Engine.Scenarios].
// A scenario fails through the methods of [S]; what it makes it also removes.
// After each, the cell must be as before: mounts, cgroups, davit's state. After all,
// [Main] compares the host with what it was: mounts, cgroups, network
// namespaces, links, packet filter, sysctls and processes. Whatever is
// different is a leak unless it shows itself as another's: a cgroup with
// processes that no cell had, what carries the name of other tests, a mount in
// a temporary directory, and all that doesn't last for 20 seconds.
//
// A scenario may have an Excuse: words for what this machine refuses to every
// runtime. It counts only if runc fails in the same scenario too, and the skip
// then shows the words and how both failed.
//
// Results go to the directory DAVIT_ENGINES_RESULTS, one file for a package, if
// whole tables were run: with -run, an engine's test in one kind of cgroups
// (TestDocker/v2) at the least, which then takes the place of that in the file.
// The report command makes the page of them, which says what davit they're of.
package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Main runs a package's tests between two looks at the host. It doesn't return.
func Main(m *testing.M, pkg string) {
	if plan := os.Getenv(cellVariable); plan != "" {
		cellInit(plan)
	}
	if os.Getuid() != 0 || os.Getenv("DAVIT") == "" {
		fmt.Println("SKIP: the engines need root, and DAVIT=PATH of the davit to test (make engines-test)")
		os.Exit(0)
	}
	before := hostNow()
	code := m.Run()
	if diff := before.settle(settling); diff != "" {
		fmt.Printf("FAIL: the host is not as it was before:\n%s", diff)
		code = 1
	}
	if dir := os.Getenv("DAVIT_ENGINES_RESULTS"); dir != "" {
		if err := results.write(filepath.Join(dir, pkg+".json")); err != nil {
			fmt.Println("FAIL:", err)
			code = 1
		}
	}
	os.Exit(code)
}
