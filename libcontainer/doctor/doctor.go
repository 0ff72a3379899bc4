// Package doctor finds out what a host gives to containers: what works, what a
// lack costs, and what mends it.
//
// It asks the kernel by trying, not by its version, and what takes namespaces
// it tries inside of new ones, by the same stage that makes containers. Nothing
// on the host is changed.
package doctor

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Status says what a finding means.
type Status string

// The values of [Status].
const (
	OK      Status = "ok"      // it works
	Note    Status = "note"    // worth knowing; nothing is lost
	Missing Status = "missing" // some configurations don't work
	Fatal   Status = "fatal"   // no container works
)

// Finding is one thing that was looked at.
type Finding struct {
	Area   string `json:"area"` // what it is a part of, such as "cgroups"
	Name   string `json:"name"`
	Status Status `json:"status"`
	Detail string `json:"detail,omitempty"` // what was seen
	Cost   string `json:"cost,omitempty"`   // what doesn't work for want of it: fields of config.json, commands
	Remedy string `json:"remedy,omitempty"` // the command, or the change, that mends it
}

// Options say from where to look.
type Options struct {
	StateRoot string // where containers' state would be kept
}

// Examine looks at everything.
func Examine(opts Options) []Finding {
	e := &examiner{opts: opts, euid: os.Geteuid()}
	e.caps, _ = permitted()
	e.privileged = e.has(unix.CAP_SYS_ADMIN)
	for _, look := range []func(){e.kernel, e.namespaces, e.filesystems, e.cgroups, e.seccomp, e.modules, e.self, e.rootless, e.tools} {
		look()
	}
	return e.findings
}

// Usable tells whether containers can run at all.
func Usable(findings []Finding) bool {
	for i := range findings {
		if findings[i].Status == Fatal {
			return false
		}
	}
	return true
}

type examiner struct {
	opts       Options
	euid       int
	caps       uint64
	privileged bool // may make namespaces without a user namespace
	findings   []Finding
	area       string // of the findings that come
}

func (e *examiner) has(capability int) bool { return e.caps&(1<<capability) != 0 }

func (e *examiner) add(s Status, name, detail, cost, remedy string) {
	e.findings = append(e.findings, Finding{e.area, name, s, detail, cost, remedy})
}

func (e *examiner) ok(name, detail string)   { e.add(OK, name, detail, "", "") }
func (e *examiner) note(name, detail string) { e.add(Note, name, detail, "", "") }
func (e *examiner) missing(name, detail, cost, remedy string) {
	e.add(Missing, name, detail, cost, remedy)
}

// tried reports a probe: nil is ok.
func (e *examiner) tried(name string, err error, without Status, cost, remedy string) {
	if err == nil {
		e.ok(name, "")
		return
	}
	e.add(without, name, err.Error(), cost, remedy)
}

// known takes errors that come from behind the recognition of a system call as success.
func known(err error, recognized ...unix.Errno) error {
	for _, r := range recognized {
		if errors.Is(err, r) {
			return nil
		}
	}
	return err
}

// value reads a file of one line, such as a kernel parameter; "" if there is none.
func value(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func permitted() (uint64, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, err
	}
	return uint64(data[0].Permitted) | uint64(data[1].Permitted)<<32, nil
}
