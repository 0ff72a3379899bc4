// Package bundle loads an OCI bundle's config.json and checks it against
// runtime-spec 1.0 to 1.3.
//
// It asks the host for one thing only, whether root.path is a directory. All
// other checks are pure: they take a *specs.Spec and name what is wrong with
// it by JSON path. What needs the host (does a namespace file have the right
// type, is a cgroup controller there, does the kernel know a mount option) is
// for the packages that do the work.
//
// Unknown properties are ignored (config.md, Extensibility), and so are the
// sections of other platforms. Values that the spec calls invalid are errors,
// except where engines in use send them; each such tolerance is explained
// where it is granted.
package bundle

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// configName is the name of the configuration in a bundle (bundle.md).
const configName = "config.json"

// Bundle is a loaded and checked bundle.
type Bundle struct {
	// Dir is the bundle directory: absolute and lexically clean, symbolic
	// links kept as the caller gave them.
	Dir string
	// Spec is Raw, decoded.
	Spec *specs.Spec
	// Raw is the configuration byte for byte. Whoever creates a container
	// keeps it, so that later edits of the file have no effect (runtime.md,
	// create). It must not change: the strings of Spec lie in it.
	Raw []byte
	// Rootfs is root.path: absolute and lexically clean, a relative value
	// taken from Dir. Symbolic links in it are not resolved.
	Rootfs string
}

// Load reads, decodes and checks dir/config.json, and makes sure that
// root.path is a directory.
//
// A missing file is an error that matches [fs.ErrNotExist] and whose text is
// `JSON specification file config.json not found`. What is wrong with the
// content is an [*Error] or [Errors].
func Load(dir string) (*Bundle, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	raw, err := readConfig(filepath.Join(dir, configName))
	if errors.Is(err, fs.ErrNotExist) {
		// A mistyped bundle directory deserves to be told from a bundle
		// without configuration.
		if dirErr := checkDir(dir); dirErr != nil {
			return nil, &fs.PathError{Op: "open bundle", Path: dir, Err: dirErr}
		}
		return nil, &notFoundError{file: configName, err: err}
	}
	if err != nil {
		return nil, err
	}
	b, err := newBundle(dir, raw)
	if err != nil {
		return nil, err
	}
	if err := checkDir(b.Rootfs); err != nil {
		return nil, Errors{{
			Path:   "root.path",
			Reason: strconv.Quote(b.Rootfs) + ": " + err.Error(),
			Hint:   "a directory must exist there; a relative path starts at the bundle",
		}}
	}
	return b, nil
}

// LoadFile is Load for a configuration kept elsewhere, such as the copy taken
// when the container was created; relative paths in it still start at dir.
//
// It does not look at the root filesystem: a created container has its own
// mounts by then, and its engine may have taken away the host's. A caller that
// only cleans up should not insist on its success: a newer version may be
// stricter than the one that created the container.
func LoadFile(dir, file string) (*Bundle, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	raw, err := readConfig(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &notFoundError{file: file, err: err}
	}
	if err != nil {
		return nil, err
	}
	return newBundle(dir, raw)
}

func newBundle(dir string, raw []byte) (*Bundle, error) {
	spec, err := Parse(raw)
	if e, ok := errors.AsType[*Error](err); ok && (e.Path == "$" || strings.HasPrefix(e.Path, "line ")) {
		return nil, fmt.Errorf("%s: %w", configName, err) // no field tells where to look
	}
	if err != nil {
		return nil, err
	}
	if err := Check(spec, dir); err != nil {
		return nil, err
	}
	rootfs := spec.Root.Path
	if !filepath.IsAbs(rootfs) {
		rootfs = filepath.Join(dir, rootfs)
	}
	return &Bundle{Dir: dir, Spec: spec, Raw: raw, Rootfs: filepath.Clean(rootfs)}, nil
}

// checkDir returns the bare errno: its callers name the path.
func checkDir(name string) error {
	var st unix.Stat_t
	err := ignoringEINTR(func() error { return unix.Stat(name, &st) })
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		err = unix.ENOTDIR
	}
	return err
}
