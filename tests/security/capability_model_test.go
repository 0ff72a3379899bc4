package security

// A model of capabilities(7), written from the manual page and not from davit:
// what a process that executes a program without file capabilities, not
// set-user-ID, has afterwards.

type credentials struct {
	root       bool // effective and real user ID are 0 in the process's user namespace
	noRoot     bool // SECBIT_NOROOT
	noNewPrivs bool
	sets       fiveSets
}

type fiveSets struct{ inheritable, permitted, effective, bounding, ambient uint64 }

// execve is "Transformation of capabilities during execve()", with "Capabilities
// and execution of programs by root" and prctl(2), PR_SET_NO_NEW_PRIVS.
func (c credentials) execve() fiveSets {
	var fileInheritable, filePermitted uint64
	fileEffective := false
	if c.root && !c.noRoot {
		fileInheritable, filePermitted, fileEffective = ^uint64(0), ^uint64(0), true
	}
	old, now := c.sets, c.sets
	// The file has neither capabilities nor a set-ID bit, so the ambient set stays.
	now.permitted = old.inheritable&fileInheritable | filePermitted&old.bounding | old.ambient
	if c.noNewPrivs {
		now.permitted &= old.permitted // nothing is gained that the caller couldn't do
	}
	now.effective = now.ambient
	if fileEffective {
		now.effective = now.permitted
	}
	return now
}

// request is what a configuration asks for, by bits.
type request struct{ bounding, permitted, effective, inheritable, ambient uint64 }

// granted is what of it can be: config.md, process.capabilities, says that the
// rest is left out with a warning. The kernel takes an effective capability that
// is permitted, an inheritable one that is in the bounding set, an ambient one
// that is both permitted and inheritable.
func (r request) granted(grantable uint64, ambientForbidden bool) fiveSets {
	s := fiveSets{bounding: r.bounding & grantable, permitted: r.permitted & grantable}
	s.effective = r.effective & s.permitted
	s.inheritable = r.inheritable & grantable & s.bounding
	if !ambientForbidden {
		s.ambient = r.ambient & s.permitted & s.inheritable
	}
	return s
}
