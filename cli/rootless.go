package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// initUserNS is the inode number of the initial user namespace (PROC_USER_INIT_INO, linux/proc_ns.h).
const initUserNS = 0xEFFFFFFD

// identity is who invoked davit, as far as defaults depend on it.
type identity struct {
	euid     int
	userNS   bool // euid is 0, in a user namespace other than the initial one
	hostRoot bool // euid 0 is uid 0 outside of that namespace, too
	runtime  string
	user     string
	hasUser  bool
}

func caller() identity {
	self := identity{euid: unix.Geteuid(), hostRoot: true, runtime: os.Getenv("XDG_RUNTIME_DIR")}
	if self.euid != 0 {
		self.hostRoot = false
		return self
	}
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/user", &st); err != nil || st.Ino == initUserNS {
		return self
	}
	self.userNS = true
	self.user, self.hasUser = os.LookupEnv("USER")
	uidMap, err := os.ReadFile("/proc/self/uid_map")
	self.hostRoot = err == nil && mapsRoot(string(uidMap))
	return self
}

// mapsRoot tells whether uid_map maps uid 0 to uid 0 of the parent namespace (user_namespaces(7)).
func mapsRoot(uidMap string) bool {
	for line := range strings.Lines(uidMap) {
		f := strings.Fields(line)
		if len(f) == 3 && f[0] == "0" {
			return f[1] == "0"
		}
	}
	return false
}

// stateRoot is the default of --root. An engine without privilege runs davit as
// uid 0 of a user namespace, and some of its calls carry no other variable than
// XDG_RUNTIME_DIR; a root login inside an unprivileged system container has
// USER=root, and there /run is its own.
func (id identity) stateRoot() string {
	if id.unprivileged() && id.runtime != "" {
		return filepath.Join(id.runtime, name)
	}
	return systemRoot
}

const systemRoot = "/run/" + name

func (id identity) unprivileged() bool {
	return id.euid != 0 || id.userNS && !(id.hasUser && id.user == "root")
}

// hint adds what to do to an error of the default state directory: it is
// root's for want of a directory that is the caller's, or the caller isn't let
// into the one that the environment names.
func (id identity) hint(err error) error {
	if !id.unprivileged() || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	if id.runtime != "" {
		if !strings.Contains(err.Error(), "state root ") && !strings.Contains(err.Error(), "state root:") {
			return err
		}
		return fmt.Errorf("%w; XDG_RUNTIME_DIR is %s, set it to a directory of yours or keep the containers' state elsewhere by --root", err, id.runtime)
	}
	_, after, _ := strings.Cut(err.Error(), systemRoot)
	if !strings.HasPrefix(after, "/") && !strings.HasPrefix(after, ":") {
		return err
	}
	return fmt.Errorf("%w; without root, set XDG_RUNTIME_DIR or keep the containers' state elsewhere by --root", err)
}

// rootlessMode decides --rootless.
func (g *globals) rootlessMode(self identity) (bool, error) {
	if g.rootless == "auto" {
		return !self.hostRoot, nil
	}
	return strconv.ParseBool(g.rootless)
}
