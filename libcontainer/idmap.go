package libcontainer

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/libcontainer/plan"
)

// writeMappings gives a new user namespace its mappings (user_namespaces(7)). A
// caller without CAP_SETUID may map only himself; for more there are
// newuidmap(1) and newgidmap(1).
func writeMappings(pid int, m *plan.Mappings, privileged bool) error {
	proc := "/proc/" + strconv.Itoa(pid)
	if privileged {
		if err := writeMap(proc+"/gid_map", "linux.gidMappings", m.GIDs); err != nil {
			return err
		}
		return writeMap(proc+"/uid_map", "linux.uidMappings", m.UIDs)
	}
	if ownOnly(m.GIDs, unix.Getegid()) {
		// Otherwise leaving a group could give access that the group denies (CVE-2014-8989).
		if err := os.WriteFile(proc+"/setgroups", []byte("deny"), 0); err != nil {
			return fmt.Errorf("linux.gidMappings: deny setgroups: %w", err)
		}
		if err := writeMap(proc+"/gid_map", "linux.gidMappings", m.GIDs); err != nil {
			return err
		}
	} else if err := runMapper("newgidmap", "linux.gidMappings", pid, m.GIDs); err != nil {
		return err
	}
	if ownOnly(m.UIDs, unix.Geteuid()) {
		return writeMap(proc+"/uid_map", "linux.uidMappings", m.UIDs)
	}
	return runMapper("newuidmap", "linux.uidMappings", pid, m.UIDs)
}

func ownOnly(maps []specs.LinuxIDMapping, id int) bool {
	return len(maps) == 1 && maps[0].Size == 1 && int(maps[0].HostID) == id
}

func writeMap(file, field string, maps []specs.LinuxIDMapping) error {
	var b bytes.Buffer
	for _, m := range maps {
		fmt.Fprintf(&b, "%d %d %d\n", m.ContainerID, m.HostID, m.Size)
	}
	// One write: the kernel takes a map as a whole and only once.
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	defer f.Close()
	if _, err := f.Write(b.Bytes()); err != nil {
		return fmt.Errorf("%s: the kernel refuses the mapping %q: %w", field, strings.TrimSpace(b.String()), err)
	}
	return nil
}

// runMapper lets a setuid helper of the shadow package write the map that /etc/subuid or /etc/subgid allows.
func runMapper(name, field string, pid int, maps []specs.LinuxIDMapping) error {
	path := findProgram(name)
	if path == "" {
		return fmt.Errorf("%s: %s is not in $PATH: install it (package uidmap) or map only your own id", field, name)
	}
	argv := []string{name, strconv.Itoa(pid)}
	for _, m := range maps {
		argv = append(argv, strconv.FormatUint(uint64(m.ContainerID), 10), strconv.FormatUint(uint64(m.HostID), 10), strconv.FormatUint(uint64(m.Size), 10))
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	p, err := os.StartProcess(path, argv, &os.ProcAttr{Files: []*os.File{nil, w, w}, Env: []string{}})
	w.Close()
	if err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	var out bytes.Buffer
	_, _ = out.ReadFrom(r)
	st, err := p.Wait()
	if err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	if !st.Success() {
		return fmt.Errorf("%s: %s: %s (does the sub-id file allow these ranges?)", field, strings.Join(argv, " "), strings.TrimSpace(out.String()))
	}
	return nil
}

func findProgram(name string) string {
	for _, dir := range strings.Split(os.Getenv("PATH")+":/usr/bin:/bin", ":") {
		if !strings.HasPrefix(dir, "/") {
			continue
		}
		if p := dir + "/" + name; unix.Access(p, unix.X_OK) == nil {
			return p
		}
	}
	return ""
}
