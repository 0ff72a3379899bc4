package usermap

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// refusal says why the kernel takes no map from a privileged caller; "" if that isn't known.
func refusal(err error) string {
	if err != unix.EPERM {
		return ""
	}
	data, rerr := os.ReadFile("/proc/self/uid_map")
	if own := strings.Join(strings.Fields(string(data)), " "); rerr == nil && own != wholeMap {
		return fmt.Sprintf(" (davit is in a user namespace itself, with the ids %q: every hostID has to be one of them)", own)
	}
	return " (is CAP_SETUID, CAP_SETGID or CAP_SYS_ADMIN missing?)"
}

// wholeMap is the initial user namespace's uid_map.
const wholeMap = "0 0 4294967295"

// explain says what newuidmap or newgidmap lacks for these mappings.
func (h *helper) explain(path, said string) string {
	uid := unix.Geteuid()
	user := userName(uid)
	if user == "" && strings.Contains(said, "Cannot determine your user name") {
		return fmt.Sprintf("user id %d has no entry in /etc/passwd, and no line of %s can name it", uid, h.file)
	}
	if strings.Contains(said, "not permitted") {
		return unprivileged(path)
	}
	if user == "" {
		user = strconv.Itoa(uid)
	}
	table, err := os.ReadFile(h.file)
	if err != nil {
		return fmt.Sprintf("there is no %s: %s", h.file, h.advise(user))
	}
	granted := grants(string(table), user, uid)
	if len(granted) == 0 {
		return fmt.Sprintf("%s has no line for %s: %s", h.file, user, h.advise(user))
	}
	return fmt.Sprintf("%s gives %s only %s", h.file, user, strings.Join(granted, ", "))
}

func (h *helper) advise(user string) string {
	return fmt.Sprintf(`add "%s:100000:65536", as usermod %s 100000-165535 %s does, or map only your own id`, user, h.option, user)
}

// unprivileged says why a setuid program doesn't have the rights that it should.
func unprivileged(path string) string {
	var st unix.Stat_t
	var fs unix.Statfs_t
	nnp, _ := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	attr, _ := unix.Getxattr(path, "security.capability", nil)
	switch {
	case nnp != 0:
		return "davit runs with no_new_privs, so that setuid programs have no effect"
	case unix.Stat(path, &st) == nil && attr <= 0 && (st.Mode&unix.S_ISUID == 0 || st.Uid != 0):
		return path + " is neither setuid root nor has file capabilities: install package uidmap anew, or chmod u+s it"
	case unix.Statfs(path, &fs) == nil && fs.Flags&unix.ST_NOSUID != 0:
		return path + " is on a filesystem that is mounted nosuid"
	}
	return "is davit in a container that lacks CAP_SETUID or CAP_SETGID?"
}

// grants lists the ranges of subuid(5) that a user has, by name or number.
func grants(table, user string, uid int) []string {
	var ranges []string
	for line := range strings.Lines(table) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 3 || f[0] != user && f[0] != strconv.Itoa(uid) {
			continue
		}
		first, err1 := strconv.ParseUint(f[1], 10, 32)
		count, err2 := strconv.ParseUint(f[2], 10, 32)
		if err1 == nil && err2 == nil && count > 0 {
			ranges = append(ranges, fmt.Sprintf("%d-%d", first, first+count-1))
		}
	}
	return ranges
}

// userName finds a user in passwd(5); "" if there is none.
func userName(uid int) string {
	table, _ := os.ReadFile("/etc/passwd")
	want := strconv.Itoa(uid)
	for line := range strings.Lines(string(table)) {
		if f := strings.SplitN(line, ":", 4); len(f) == 4 && f[2] == want {
			return f[0]
		}
	}
	return ""
}
