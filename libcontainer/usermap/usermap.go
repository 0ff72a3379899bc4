// Package usermap gives a new user namespace its mappings (user_namespaces(7)),
// by the kernel's files where the caller may write them and by newuidmap(1) and
// newgidmap(1) where not, and says what a caller lacks who gets neither.
package usermap

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Fields of the configuration that errors name.
const (
	uidField = "linux.uidMappings"
	gidField = "linux.gidMappings"
)

// Write gives the user namespace of process pid, a new one, its mappings. A
// privileged caller writes them himself. Any other may write only a map of his
// own id alone, without setgroups(2) inside; for more there are the setuid
// helpers, which go by /etc/subuid and /etc/subgid.
func Write(pid int, uids, gids []specs.LinuxIDMapping, privileged bool) error {
	proc := "/proc/" + strconv.Itoa(pid)
	if privileged {
		if err := writeFile(proc+"/gid_map", gidField, gids); err != nil {
			return err
		}
		return writeFile(proc+"/uid_map", uidField, uids)
	}
	if ownOnly(gids, unix.Getegid()) {
		// Otherwise leaving a group could give access that the group denies (CVE-2014-8989).
		if err := os.WriteFile(proc+"/setgroups", []byte("deny"), 0); err != nil {
			return fmt.Errorf("%s: deny setgroups: %w", gidField, err)
		}
		if err := writeFile(proc+"/gid_map", gidField, gids); err != nil {
			return err
		}
	} else if err := runHelper(&newgidmap, pid, gids); err != nil {
		return err
	}
	if ownOnly(uids, unix.Geteuid()) {
		return writeFile(proc+"/uid_map", uidField, uids)
	}
	return runHelper(&newuidmap, pid, uids)
}

func ownOnly(maps []specs.LinuxIDMapping, id int) bool {
	return len(maps) == 1 && maps[0].Size == 1 && int(maps[0].HostID) == id
}

func format(maps []specs.LinuxIDMapping) []byte {
	var b []byte
	for _, m := range maps {
		b = strconv.AppendUint(b, uint64(m.ContainerID), 10)
		b = strconv.AppendUint(append(b, ' '), uint64(m.HostID), 10)
		b = append(strconv.AppendUint(append(b, ' '), uint64(m.Size), 10), '\n')
	}
	return b
}

func writeFile(file, field string, maps []specs.LinuxIDMapping) error {
	text := format(maps)
	if len(text) >= os.Getpagesize() {
		return fmt.Errorf("%s: %d mappings take %d bytes, and the kernel takes less than a page of %d: merge ranges that continue each other",
			field, len(maps), len(text), os.Getpagesize())
	}
	// One write: the kernel takes a map as a whole and only once.
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	defer f.Close()
	if _, err := f.Write(text); err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return fmt.Errorf("%s: the kernel refuses the mapping %s: %w%s", field, inline(text), err, refusal(err))
	}
	return nil
}

// inline shows the beginning of a map in one line.
func inline(text []byte) string {
	const enough = 120
	s := strings.TrimSpace(string(text))
	if len(s) > enough {
		s = s[:strings.LastIndexByte(s[:enough], '\n')] + "\n…"
	}
	return strconv.QuoteToGraphic(strings.ReplaceAll(s, "\n", ", "))
}

// helper is one of the two programs, and the file that it goes by.
type helper struct{ name, field, file, option string }

var (
	newuidmap = helper{"newuidmap", uidField, "/etc/subuid", "--add-subuids"}
	newgidmap = helper{"newgidmap", gidField, "/etc/subgid", "--add-subgids"}
)

func runHelper(h *helper, pid int, maps []specs.LinuxIDMapping) error {
	path := findProgram(h.name)
	if path == "" {
		return fmt.Errorf("%s: %s is not in $PATH: install it (package uidmap, elsewhere shadow-utils) or map only your own id", h.field, h.name)
	}
	argv := []string{h.name, strconv.Itoa(pid)}
	argv = append(argv, strings.Fields(string(format(maps)))...)
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	p, err := os.StartProcess(path, argv, &os.ProcAttr{Files: []*os.File{nil, w, w}, Env: []string{}})
	w.Close()
	if err != nil {
		return fmt.Errorf("%s: %w", h.field, err)
	}
	var out bytes.Buffer
	_, _ = out.ReadFrom(r)
	st, err := p.Wait()
	if err != nil {
		return fmt.Errorf("%s: %w", h.field, err)
	}
	if !st.Success() {
		said := strings.TrimPrefix(strings.TrimSpace(out.String()), h.name+": ")
		return fmt.Errorf("%s: %s: %s (%s)", h.field, h.name, said, h.explain(path, said))
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
