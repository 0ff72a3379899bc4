package doctor

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// rootless looks at what an ordinary user needs.
func (e *examiner) rootless() {
	e.area = "user namespaces"
	for _, limit := range [...]string{"max_user_namespaces", "max_mnt_namespaces", "max_pid_namespaces", "max_net_namespaces"} {
		if v := value("/proc/sys/user/" + limit); v == "0" {
			e.missing("user."+limit, v, "linux.namespaces of that type", "sysctl -w user."+limit+"=15000")
		} else if v != "" {
			e.ok("user."+limit, v)
		}
	}
	if e.euid == 0 {
		return
	}
	name := userName(e.euid)
	for _, sub := range [...]struct{ file, field, flag string }{
		{"/etc/subuid", "linux.uidMappings", "--add-subuids"}, {"/etc/subgid", "linux.gidMappings", "--add-subgids"},
	} {
		ranges, count := subIDs(sub.file, name, e.euid)
		if count > 0 {
			e.ok(sub.file, ranges)
			continue
		}
		e.missing(sub.file, "has no range for "+name, "more than one id in "+sub.field, "usermod "+sub.flag+" 100000-165535 "+name)
	}
}

// userName is the name that /etc/passwd has for a uid, or its number.
func userName(uid int) string {
	table, err := os.ReadFile("/etc/passwd")
	if err == nil {
		for line := range strings.Lines(string(table)) {
			if f := strings.Split(line, ":"); len(f) > 2 && f[2] == strconv.Itoa(uid) {
				return f[0]
			}
		}
	}
	return strconv.Itoa(uid)
}

// subIDs are the ranges of a user in a file such as /etc/subuid (subuid(5)).
func subIDs(file, name string, uid int) (ranges string, count uint64) {
	table, err := os.ReadFile(file)
	if err != nil {
		return "", 0
	}
	var list []string
	for line := range strings.Lines(string(table)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 3 || f[0] != name && f[0] != strconv.Itoa(uid) {
			continue
		}
		start, err := strconv.ParseUint(f[1], 10, 32)
		n, err2 := strconv.ParseUint(f[2], 10, 32)
		if err != nil || err2 != nil || n == 0 {
			continue
		}
		count += n
		list = append(list, fmt.Sprintf("%d-%d", start, start+n-1))
	}
	return strings.Join(list, ", "), count
}

// tools looks for the programs of others that davit calls.
func (e *examiner) tools() {
	e.area = "tools"
	for _, t := range [...]struct{ name, pkg, cost string }{
		{"newuidmap", "uidmap", "more than one id in linux.uidMappings for ordinary users"},
		{"newgidmap", "uidmap", "more than one id in linux.gidMappings for ordinary users"},
		{"criu", "criu", "checkpoint, restore"},
	} {
		path := find(t.name)
		switch {
		case path == "" && t.pkg == "uidmap" && e.euid == 0:
			e.note(t.name, "not installed; ordinary users need it (Debian: apt-get install uidmap)")
		case path == "":
			e.missing(t.name, "not installed", t.cost, "apt-get install "+t.pkg)
		case t.pkg == "uidmap" && !gainsPrivilege(path):
			e.missing(t.name, path+" is neither setuid root nor has capabilities", t.cost, "chmod u+s "+path)
		default:
			e.ok(t.name, path)
		}
	}
}

func find(name string) string {
	for dir := range strings.SplitSeq(os.Getenv("PATH")+":/usr/sbin:/usr/bin:/sbin:/bin", ":") {
		if strings.HasPrefix(dir, "/") && unix.Access(dir+"/"+name, unix.X_OK) == nil {
			return dir + "/" + name
		}
	}
	return ""
}

// gainsPrivilege tells whether a program is executed with more rights than its caller has (capabilities(7), execve(2)).
func gainsPrivilege(path string) bool {
	var st unix.Stat_t
	if unix.Stat(path, &st) == nil && st.Mode&unix.S_ISUID != 0 && st.Uid == 0 {
		return true
	}
	n, err := unix.Getxattr(path, "security.capability", nil)
	return err == nil && n > 0
}
