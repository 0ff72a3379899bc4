package inspect

import (
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"davit/libcontainer"
	"davit/nsenter"
)

// inside looks at what there is in the rootfs.
func (in *inspector) inside(e *libcontainer.Explanation) {
	if in.rootfs == "" {
		return
	}
	root, err := unix.Open(in.rootfs, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		in.note("root.path", in.rootfs+" can't be looked at: "+err.Error(), "")
		return
	}
	defer unix.Close(root)
	in.targets(root)
	if in.spec.Process != nil {
		in.workingDirectory(root)
		in.program(root, e)
	}
}

// program looks for process.args[0], the way that execvp(3) would inside.
func (in *inspector) program(root int, e *libcontainer.Explanation) {
	p := in.spec.Process
	found := false
	for _, i := range e.Process {
		op, ok := i.Op.(nsenter.Exec)
		if !ok {
			continue
		}
		for _, candidate := range op.Paths {
			if !path.IsAbs(candidate) {
				candidate = path.Join(p.Cwd, candidate)
			}
			if found = in.executable(root, candidate); found {
				return
			}
		}
	}
	const at = "process.args[0]"
	message := fmt.Sprintf("%q is not in the rootfs", p.Args[0])
	if !strings.Contains(p.Args[0], "/") {
		message = fmt.Sprintf("%q is in none of the rootfs's directories of PATH", p.Args[0])
	}
	if mount := in.bringsFiles(); mount != "" {
		in.warning(at, message, "unless "+mount+" brings it")
		return
	}
	in.error(at, message, "")
}

// bringsFiles names a mount that a program may be in.
func (in *inspector) bringsFiles() string {
	for i, m := range in.spec.Mounts {
		switch m.Type {
		case "proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2", "tmpfs":
			continue
		}
		if d := path.Clean("/" + m.Destination); !strings.HasPrefix(d, "/dev/") && d != "/dev" && !strings.HasPrefix(d, "/etc/") {
			return fmt.Sprintf("mounts[%d] (%s)", i, d)
		}
	}
	return ""
}

func (in *inspector) workingDirectory(root int) {
	var st unix.Stat_t
	fd, err := openIn(root, in.spec.Process.Cwd, unix.O_PATH)
	if err != nil {
		return // it will be made, or is in a mount
	}
	defer unix.Close(fd)
	if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		in.error("process.cwd", "is a file in the rootfs, not a directory", "")
	}
}

// openIn resolves a path below the rootfs as the container will see it, never beyond (openat2(2)).
func openIn(root int, name string, flags uint64) (int, error) {
	return unix.Openat2(root, name, &unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
}

// executable looks at a file that execve(2) would be given, and tells whether the look-up ends with it.
func (in *inspector) executable(root int, file string) bool {
	const at = "process.args[0]"
	path, err := openIn(root, file, unix.O_PATH)
	if err != nil {
		return false
	}
	defer unix.Close(path)
	var st unix.Stat_t
	if err := unix.Fstat(path, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		if err == nil && strings.Contains(in.spec.Process.Args[0], "/") {
			in.error(at, file+" is not a regular file", "")
			return true
		}
		return false
	}
	if st.Mode&0o111 == 0 {
		if strings.Contains(in.spec.Process.Args[0], "/") {
			in.error(at, file+" is not executable", "chmod +x it in the rootfs")
			return true
		}
		return false // execvp looks further
	}
	head, err := readHead(path)
	if err != nil {
		in.note(at, file+" can't be read: "+err.Error(), "")
		return true
	}
	interpreter, err := libcontainer.NeededInterpreter(head)
	switch {
	case err != nil && foreignPrograms():
		in.warning(at, file+": "+err.Error(), "unless binfmt_misc knows what to do with it")
	case err != nil:
		in.error(at, file+": "+err.Error(), "")
	case interpreter != "":
		in.interpreter(root, file, interpreter)
	}
	return true
}

func (in *inspector) interpreter(root int, file, interpreter string) {
	fd, err := openIn(root, interpreter, unix.O_PATH)
	if err == nil {
		unix.Close(fd)
		return
	}
	message := fmt.Sprintf("%s needs %s, which is not in the rootfs", file, interpreter)
	if mount := in.bringsFiles(); mount != "" {
		in.warning("process.args[0]", message, "unless "+mount+" brings it")
		return
	}
	in.error("process.args[0]", message, "is the image complete, and for this C library?")
}

// headSize is what of a program's beginning is looked at.
const headSize = 4096

// readHead reads the beginning of a regular file that is open as a path only.
func readHead(path int) ([]byte, error) {
	f, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", path))
	if err != nil {
		return nil, unwrap(err)
	}
	defer f.Close()
	head := make([]byte, headSize)
	n, err := io.ReadFull(f, head)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return head[:n], err
}

func unwrap(err error) error {
	if pe, ok := err.(*os.PathError); ok {
		return pe.Err
	}
	return err
}

// foreignPrograms tells whether the kernel has interpreters for formats that are not its own (binfmt_misc).
func foreignPrograms() bool {
	entries, err := os.ReadDir("/proc/sys/fs/binfmt_misc")
	return err == nil && len(entries) > 2 // beside register and status
}
