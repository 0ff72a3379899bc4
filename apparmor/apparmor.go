// Package apparmor answers what has to be known before a process is confined
// with process.apparmorProfile: whether the kernel has AppArmor, whether it
// knows the profile, and which text asks for it. Writing that text is left to
// the process that is to be confined; see [ExecAttr].
package apparmor

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"
)

// Field is the part of config.json that the errors of this package are about.
const Field = "process.apparmorProfile"

var (
	// ErrNotEnabled: the config asks for a profile on a kernel without AppArmor.
	ErrNotEnabled = errors.New("AppArmor is not enabled on this host (see /sys/module/apparmor/parameters/enabled)")
	// ErrUnknownProfile: the kernel has no profile of that name loaded.
	ErrUnknownProfile = errors.New("no such profile is loaded: load it with apparmor_parser(8)")
	// ErrInvalidName: the name can't be that of a profile.
	ErrInvalidName = errors.New("is not the name of a profile")
)

// An Error is a profile that can't be used. It wraps one of the errors above,
// or that of reading the kernel's list of profiles.
type Error struct {
	Profile string
	Err     error
}

func (e *Error) Error() string { return fmt.Sprintf("%s %q: %v", Field, e.Profile, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// Unconfined is the profile that confines nothing. Every kernel with AppArmor has it.
const Unconfined = "unconfined"

// host is where the kernel is asked. Tests have another.
type host struct {
	enabled   string // the module's parameter: Y or N
	profiles  string // the loaded profiles, in securityfs
	attr      string // the confinement of the calling thread (Linux 5.8)
	userNS    string
	initialNS uint64 // inode of the initial user namespace
}

func system() host {
	return host{
		enabled:   "/sys/module/apparmor/parameters/enabled",
		profiles:  "/sys/kernel/security/apparmor/profiles",
		attr:      "/proc/thread-self/attr/apparmor/current",
		userNS:    "/proc/self/ns/user",
		initialNS: 0xEFFFFFFD, // PROC_USER_INIT_INO of include/linux/proc_ns.h
	}
}

// Enabled says whether the kernel runs AppArmor. It reads one small file each time.
func Enabled() bool { return system().isEnabled() }

func (h host) isEnabled() bool {
	data, err := readFile(h.enabled, 16)
	return err == nil && len(data) > 0 && data[0] == 'Y'
}

// CheckProfile says early, and in words, what the kernel would say with an errno
// when the process is confined: an *[Error] that wraps [ErrNotEnabled],
// [ErrUnknownProfile] or [ErrInvalidName]. "" asks for nothing and is nil.
//
// Where the list of profiles can't be seen, because securityfs isn't mounted or
// the caller may not read it (in a user namespace, mostly), it returns nil:
// nothing is lost by that, for the kernel refuses to confine a process with a
// profile that it doesn't know (ENOENT), and the process then doesn't start.
func CheckProfile(name string) error { return system().checkProfile(name) }

func (h host) checkProfile(name string) error {
	if name == "" {
		return nil
	}
	if !validName(name) {
		return &Error{name, ErrInvalidName}
	}
	if !h.isEnabled() {
		return &Error{name, ErrNotEnabled}
	}
	if name == Unconfined {
		return nil
	}
	list, err := readFile(h.profiles, maxList)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return &Error{name, err}
	}
	for part := range strings.SplitSeq(name, stackSeparator) {
		if part != Unconfined && !listed(list, part) {
			return &Error{name, ErrUnknownProfile}
		}
	}
	return nil
}

// stackSeparator joins the profiles of a stack (aa_stack_profile(2)).
const stackSeparator = "//&"

// validName: the kernel cuts a text at white space around it, and ends it with
// a NUL or a newline. Each part of a stack must have a name.
func validName(name string) bool {
	if strings.TrimSpace(name) != name || strings.ContainsAny(name, "\x00\n") {
		return false
	}
	for part := range strings.SplitSeq(name, stackSeparator) {
		if part == "" || part == ":" {
			return false
		}
	}
	return true
}

// listed searches the lines "NAME (MODE)" of securityfs. Names may contain
// blanks and parentheses; the mode is behind the last of them. A profile of a
// policy namespace is shown as ":NS://NAME" and may be asked for as ":NS:NAME".
func listed(list []byte, name string) bool {
	if ns, rest, ok := splitNamespace(name); ok {
		name = ":" + ns + "://" + rest
	}
	for line := range bytes.Lines(list) {
		end := bytes.LastIndex(line, []byte(" ("))
		if end >= 0 && string(line[:end]) == name {
			return true
		}
	}
	return false
}

// splitNamespace takes ":NS:NAME" and ":NS://NAME" apart.
func splitNamespace(name string) (ns, rest string, ok bool) {
	if !strings.HasPrefix(name, ":") {
		return "", name, false
	}
	ns, rest, ok = strings.Cut(name[1:], ":")
	return ns, strings.TrimPrefix(rest, "//"), ok && ns != ""
}

// ExecAttr is the text that the process which is to be confined writes to its
// own /proc/thread-self/attr/apparmor/exec (Linux 5.8), and that takes effect
// with its next execve(2). "" asks for nothing: then nothing
// must be written.
//
// Usually the text is "exec PROFILE": leave the present profile for this one. A
// process that is confined itself may do that only if its profile has a rule for
// it (apparmor.d(5), change_profile). In a user namespace, where davit is nested
// in someone's container or runs for an ordinary user, a confined davit asks for
// "stack PROFILE" instead: both profiles hold from then on, which is never less
// than what was asked for, and is possible under no_new_privs. That takes a rule
// too, "change_profile -> &PROFILE,", unless the profile belongs to a policy
// namespace of the container's own. Outside of user namespaces a confined davit is
// an engine's part, under a profile that was written for it to change; stacking
// there would hold containers to the engine's rules.
//
// ExecAttr reads the confinement of the calling thread.
func ExecAttr(profile string) string { return system().execAttr(profile) }

func (h host) execAttr(profile string) string {
	switch {
	case profile == "":
		return ""
	case h.confined() && h.nested():
		return "stack " + profile
	}
	return "exec " + profile
}

// Refused explains the errno that writing the text of [ExecAttr] ended in: that the
// kernel doesn't know the profile, where that wasn't seen before, or that the
// caller's own has no rule for it. Other errors give nil. It reads the confinement
// of the calling thread.
func Refused(attr string, errno unix.Errno) error { return system().refused(attr, errno) }

func (h host) refused(attr string, errno unix.Errno) error {
	how, profile, _ := strings.Cut(attr, " ")
	switch errno {
	case unix.ENOENT:
		return &Error{profile, fmt.Errorf("%w: %w", ErrUnknownProfile, errno)}
	case unix.EACCES:
		to := profile
		if how == "stack" {
			to = "&" + profile
		}
		label, _ := readFile(h.attr, maxLabel)
		return &Error{profile, fmt.Errorf("the caller is confined itself, by %q, which has no rule for it: it needs \"change_profile -> %s,\" (apparmor.d(5)): %w",
			bytes.TrimRight(label, "\x00\n"), to, errno)}
	}
	return nil
}

// confined: the label is a profile that is not in the mode "unconfined". Such
// profiles, "NAME (unconfined)", exist to permit user namespaces to a program.
func (h host) confined() bool {
	label, err := readFile(h.attr, maxLabel)
	if err != nil {
		return false
	}
	text := string(bytes.TrimRight(label, "\x00\n"))
	return text != "" && text != Unconfined && !strings.HasSuffix(text, " ("+Unconfined+")")
}

func (h host) nested() bool {
	var st unix.Stat_t
	return unix.Stat(h.userNS, &st) == nil && st.Ino != h.initialNS
}
