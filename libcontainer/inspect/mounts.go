package inspect

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"davit/libcontainer"
	"davit/nsenter"
)

// targets looks at what mounts are to be put onto: a directory onto a
// directory, a file onto a file. What an earlier mount brings can't be seen.
func (in *inspector) targets(root int) {
	var before []string
	for i := range in.spec.Mounts {
		m := &in.spec.Mounts[i]
		at := path.Clean("/" + m.Destination)
		field := fmt.Sprintf("mounts[%d].destination", i)
		inMount := slices.ContainsFunc(before, func(b string) bool { return at == b || strings.HasPrefix(at, strings.TrimSuffix(b, "/")+"/") })
		before = append(before, at)
		remount := slices.Contains(m.Options, "remount")
		if remount && !inMount && at != "/" {
			in.error(field, "there is no mount that could be remounted", "list the mount before, or leave \"remount\" out")
		}
		if inMount || remount {
			continue
		}
		source := directory
		if slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind") {
			source = in.kindOf(m.Source)
		}
		fd, err := openIn(root, at, unix.O_PATH)
		if err == unix.ENOTDIR {
			in.error(field, "is below a file of the rootfs", "")
		}
		if err != nil {
			continue // it will be made
		}
		switch target := kind(fd); {
		case source == unknown || target == unknown || source == target:
		case target == directory:
			in.error(field, "is a directory in the rootfs, and the source is a file", "")
		default:
			in.error(field, "is a file in the rootfs, and a directory is to be mounted there", "")
		}
		unix.Close(fd)
	}
}

// fileKind is what a mount cares about.
type fileKind int

const (
	unknown fileKind = iota
	directory
	file
)

// kind takes a descriptor that may be of a path only.
func kind(fd int) fileKind {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return unknown
	}
	return kindOfMode(st.Mode)
}

func kindOfMode(mode uint32) fileKind {
	if mode&unix.S_IFMT == unix.S_IFDIR {
		return directory
	}
	return file
}

// kindOf looks at a bind mount's source.
func (in *inspector) kindOf(source string) fileKind {
	if !path.IsAbs(source) {
		source = path.Join(in.dir, source)
	}
	var st unix.Stat_t
	if unix.Stat(source, &st) != nil {
		return unknown
	}
	return kindOfMode(st.Mode)
}

// filesystems lets the kernel judge types and options, by contexts that are never mounted (fsopen(2)).
func (in *inspector) filesystems(e *libcontainer.Explanation) {
	known := filesystemTypes()
	for _, i := range e.World {
		op, ok := i.Op.(nsenter.Mount)
		field := fieldPath(i.Field)
		if _, mount := mountIndex(field); !ok || !mount {
			continue
		}
		name, _, _ := strings.Cut(op.Type, ".") // fuse.sshfs
		if !slices.Contains(known, name) {
			// The kernel would load a module for it, which a check must not.
			if _, err := os.Stat("/lib/modules"); err == nil {
				in.warning(field+".type", fmt.Sprintf("the kernel has no filesystem %q", op.Type), "unless it is in a module that can be loaded")
			} else {
				in.error(field+".type", fmt.Sprintf("the kernel has no filesystem %q, and there are no modules", op.Type), "")
			}
			continue
		}
		if err := tryOptions(op.Type, op.Options); err != nil {
			in.error(field+".options", err.Error(), "")
		}
	}
}

// filesystemTypes are those that the kernel knows without loading anything (filesystems(5)).
func filesystemTypes() []string {
	table, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return nil
	}
	var list []string
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 0 {
			list = append(list, f[len(f)-1])
		}
	}
	return list
}

func tryOptions(fstype string, options []string) error {
	fs, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil // without privilege the kernel isn't asked
	}
	defer unix.Close(fs)
	for _, o := range options {
		key, value, has := strings.Cut(o, "=")
		if has {
			err = unix.FsconfigSetString(fs, key, value)
		} else {
			err = unix.FsconfigSetFlag(fs, key)
		}
		if err == nil {
			continue
		}
		if said := kernelsWords(fs); said != "" {
			return fmt.Errorf("%q: %s", o, said)
		}
		// Long values, and what only mount(2) can say, take another way.
		if errors.Is(err, unix.EINVAL) && len(value) < 255 || errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("%q: %w", o, err)
		}
	}
	return nil
}

// kernelsWords reads what a filesystem context has to say: a letter for its gravity, and a message.
func kernelsWords(fs int) string {
	buf := make([]byte, 512)
	n, err := unix.Read(fs, buf)
	if err != nil || n < 3 || buf[0] != 'e' {
		return ""
	}
	return strings.TrimSpace(string(buf[2:n]))
}
