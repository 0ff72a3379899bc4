package bundle

import (
	"math"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// process checks what config.md says about process.
//
// There is no check of capability names: what can't be mapped to the kernel is
// a warning, not an error (config.md, Linux Process). Nor is there one of env:
// execve takes any string, and engines pass on what images hold.
func (c *checker) process(at *path, p *specs.Process) {
	c.absolute(at.member("cwd"), p.Cwd)
	switch args := at.member("args"); {
	case len(p.Args) == 0:
		c.fail(args, "must have at least one entry")
	case p.Args[0] == "":
		// Engines know the phrase, and turn it into exit status 127.
		c.fail(args.at(0), "must not be empty: executable file not found in $PATH")
	}
	// consoleSize counts only with a terminal; the kernel's struct winsize
	// has 16 bits for each.
	if size := p.ConsoleSize; p.Terminal && size != nil {
		box := at.member("consoleSize")
		if size.Height > math.MaxUint16 {
			c.failf(box.member("height"), "%d characters are more than a terminal takes, 65535", size.Height)
		}
		if size.Width > math.MaxUint16 {
			c.failf(box.member("width"), "%d characters are more than a terminal takes, 65535", size.Width)
		}
	}
	user := at.member("user")
	c.user(&user, &p.User)
	c.rlimits(at, p.Rlimits)
	c.oneLine(at.member("apparmorProfile"), p.ApparmorProfile)
	c.oneLine(at.member("selinuxLabel"), p.SelinuxLabel)
	if adj := p.OOMScoreAdj; adj != nil && (*adj < -1000 || *adj > 1000) {
		c.failf(at.member("oomScoreAdj"), "must be from -1000 to 1000, it is %d", *adj)
	}
	c.scheduler(at, p.Scheduler)
	c.ioPriority(at, p.IOPriority)
	if a := p.ExecCPUAffinity; a != nil {
		affinity := at.member("execCPUAffinity")
		c.list(affinity.member("initial"), "CPU", a.Initial)
		c.list(affinity.member("final"), "CPU", a.Final)
	}
}

// maxGroups is NGROUPS_MAX (getgroups(2)).
const maxGroups = 65536

func (c *checker) user(at *path, u *specs.User) {
	var uids, gids []specs.LinuxIDMapping
	if c.spec != nil && c.ns.creates(nsUser) {
		uids, gids = c.spec.Linux.UIDMappings, c.spec.Linux.GIDMappings
	}
	c.id(at.member("uid"), "linux.uidMappings", u.UID, uids)
	c.id(at.member("gid"), "linux.gidMappings", u.GID, gids)
	groups := at.member("additionalGids")
	if len(u.AdditionalGids) > maxGroups {
		c.failf(groups, "has %d entries, the kernel takes %d", len(u.AdditionalGids), maxGroups)
		return
	}
	for i, gid := range u.AdditionalGids {
		c.id(groups.at(i), "linux.gidMappings", gid, gids)
	}
	if u.Umask != nil && *u.Umask > 0o777 {
		c.failf(at.member("umask"), "must be at most 511 (octal 777), it is %d", *u.Umask)
	}
}

// id refuses the value that system calls take for "unchanged" (an exec as user
// -1 would run as root), and ids that a new user namespace doesn't have.
func (c *checker) id(at path, mappingsName string, id uint32, mappings []specs.LinuxIDMapping) {
	switch {
	case id == math.MaxUint32:
		c.fail(at, "4294967295 (-1) is not an id")
	case len(mappings) != 0 && !isMapped(mappings, id):
		c.failf(at, "%d has no mapping in %s", id, mappingsName)
	}
}

func (c *checker) rlimits(process *path, list []specs.POSIXRlimit) {
	all := process.member("rlimits")
	for i, r := range list {
		at := all.at(i)
		if r.Type == "" {
			c.fail(at.member("type"), "must not be empty")
			continue
		}
		if !isRlimit(r.Type) {
			e := c.failf(at.member("type"), "%q is not a resource limit", r.Type)
			if upper := strings.ToUpper(r.Type); isRlimit(upper) {
				e.Hint = "use " + upper
			} else if isRlimit("RLIMIT_" + upper) {
				e.Hint = "use RLIMIT_" + upper
			}
			continue
		}
		if r.Soft > r.Hard {
			c.failf(at.member("soft"), "%d is above the hard limit, %d", r.Soft, r.Hard)
		}
		for j := range list[:i] {
			if list[j].Type == r.Type {
				c.failf(at.member("type"), "%q is in entry %d already", r.Type, j)
				break
			}
		}
	}
}

// isRlimit knows the limits of getrlimit(2).
func isRlimit(name string) bool {
	switch name {
	case "RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_CPU", "RLIMIT_DATA",
		"RLIMIT_FSIZE", "RLIMIT_LOCKS", "RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE",
		"RLIMIT_NICE", "RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_RSS",
		"RLIMIT_RTPRIO", "RLIMIT_RTTIME", "RLIMIT_SIGPENDING", "RLIMIT_STACK":
		return true
	}
	return false
}
