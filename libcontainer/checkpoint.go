package libcontainer

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/libcontainer/criu"
)

// CheckpointOptions say how a container is written to images.
type CheckpointOptions struct {
	CRIUOptions
	ParentPath      string // images of the dump before this one, which has only what changed since
	LeaveRunning    bool   // the container goes on
	PreDump         bool   // only memory, and the container goes on: the next dump has less to write
	TCPSkipInFlight bool   // connections that are being made are left out
	LinkRemap       bool   // open files that were removed get a name for the time being
	PageServer      string // ADDRESS:PORT of who takes the memory, instead of files
	StatusFD        int    // is written a NUL byte to when a lazy dump's page server is ready; 0 for none
}

// Checkpoint writes a running or paused container to images by CRIU, from which
// [Runtime.Restore] makes it again. Unless told otherwise the container is
// stopped and removed then. A checkpoint that fails leaves it as it was.
func (rt *Runtime) Checkpoint(id string, opts *CheckpointOptions) error {
	c, err := rt.lockAndLoad(id, "checkpoint")
	if err != nil {
		return err
	}
	defer c.close()
	switch st := c.status(); st {
	case specs.StateCreated, specs.StateStopped:
		e := &StatusError{Text: fmt.Sprintf("container cannot be checkpointed in %s state", st)}
		if st == specs.StateStopped {
			e.Err = ErrNotRunning
		}
		return e
	}
	spec, err := c.spec()
	if err != nil {
		return err
	}
	if err := movable(spec); err != nil {
		return err
	}
	if err := c.dump(spec, opts); err != nil {
		return err
	}
	if opts.LeaveRunning || opts.PreDump {
		return nil
	}
	return c.delete(true)
}

// dump has CRIU write the images.
func (c *container) dump(spec *specs.Spec, opts *CheckpointOptions) error {
	if err := opts.check(); err != nil {
		return err
	}
	w, err := startCRIU(func(path string) (*criu.Worker, error) { return criu.Start(path, nil) })
	if err != nil {
		return err
	}
	defer w.Close()
	if err := opts.probe(w); err != nil {
		return err
	}
	mode := os.FileMode(imagesMode)
	if hasNamespace(spec, specs.UserNamespace) {
		mode = imagesModeUser
	}
	i, err := opts.openImages("dump.log", mode)
	if err != nil {
		return err
	}
	defer i.close()
	req, err := c.dumpRequest(spec, opts, i)
	if err != nil {
		return err
	}
	_, err = w.Do(req, nil)
	return i.explain(err, w)
}

// check refuses options that contradict each other.
func (o *CheckpointOptions) check() error {
	switch {
	case o.PreDump && o.LazyPages:
		return errors.New("--pre-dump and --lazy-pages contradict each other: one writes memory ahead, the other not at all")
	case o.LazyPages && o.PageServer == "":
		return errors.New("--lazy-pages needs --page-server ADDRESS:PORT, where the memory can be fetched")
	case o.StatusFD != 0 && !o.LazyPages:
		return errors.New("--status-fd tells that a page server is ready: it is for --lazy-pages")
	}
	if o.StatusFD != 0 {
		flags, err := unix.FcntlInt(uintptr(o.StatusFD), unix.F_GETFL, 0)
		if err != nil || flags&unix.O_ACCMODE == unix.O_RDONLY {
			return fmt.Errorf("--status-fd: descriptor %d is not open for writing", o.StatusFD)
		}
	}
	return nil
}

// probe asks for what depends on the kernel, before the container is touched.
func (o *CheckpointOptions) probe(w *criu.Worker) error {
	tracks := o.PreDump || o.ParentPath != ""
	if !tracks && !o.LazyPages {
		return nil
	}
	have, err := w.Check(criu.Features{MemTrack: tracks, LazyPages: o.LazyPages})
	if err != nil {
		return err
	}
	if tracks && !have.MemTrack {
		return errors.New("--pre-dump and --parent-path: this kernel doesn't tell which pages have changed (it is built without CONFIG_MEM_SOFT_DIRTY)")
	}
	if o.LazyPages && !have.LazyPages {
		return errors.New("--lazy-pages: this kernel or criu lacks userfaultfd(2) for it")
	}
	return nil
}

func (c *container) dumpRequest(spec *specs.Spec, opts *CheckpointOptions, i *images) (*criu.Request, error) {
	o, err := opts.options(i, spec)
	if err != nil {
		return nil, err
	}
	if o.ParentImg, err = opts.parent(); err != nil {
		return nil, err
	}
	if o.PageServer, err = parsePageServer(opts.PageServer); err != nil {
		return nil, err
	}
	o.PID, o.Root = int32(c.record.Init.PID), c.record.Rootfs
	o.LeaveRunning, o.TCPSkipInFlight, o.LinkRemap = opts.LeaveRunning, opts.TCPSkipInFlight, opts.LinkRemap
	o.TrackMem = opts.PreDump || opts.ParentPath != ""
	o.StatusFD = int32(opts.StatusFD)
	o.FreezeCgroup = freezerPath(c.record.CgroupPaths)
	if o.External, err = c.externalNamespaces(spec); err != nil {
		return nil, err
	}
	req := &criu.Request{Type: criu.Dump, Options: o}
	if opts.PreDump {
		req.Type = criu.PreDump
		return req, nil
	}
	if o.ExtMounts, err = externalMounts(c.record.Init.PID, spec); err != nil {
		return nil, err
	}
	streams, external, err := standardStreams(c.record.Init.PID)
	if err != nil {
		return nil, err
	}
	o.External = append(o.External, external...)
	return req, writeDescriptors(i.dir, streams)
}

// parent is the directory of the dump before as CRIU wants it: relative to the images.
func (o *CheckpointOptions) parent() (string, error) {
	if o.ParentPath == "" {
		return "", nil
	}
	base := o.ImagePath
	if base == "" {
		base = "checkpoint"
	}
	base, err := filepath.Abs(base)
	if err != nil {
		return "", err
	}
	at := o.ParentPath
	if filepath.IsAbs(at) {
		if at, err = filepath.Rel(base, at); err != nil {
			return "", fmt.Errorf("--parent-path: %w", err)
		}
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(base, at), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return "", fmt.Errorf("--parent-path: %s is not a directory (a relative path starts at --image-path)", filepath.Join(base, at))
	}
	return at, nil
}

// freezerPath is the cgroup whose freezer stops all processes of the container; CRIU uses ptrace(2) without one.
func freezerPath(paths map[string]string) string {
	if v1 := paths["freezer"]; v1 != "" {
		return v1
	}
	if _, hybrid := paths["devices"]; hybrid {
		return "" // CRIU tells the version by what is mounted on /sys/fs/cgroup
	}
	return paths[""]
}

// externalNamespaces are those that the configuration names by path, in CRIU's
// words: their content belongs to somebody else.
func (c *container) externalNamespaces(spec *specs.Spec) ([]string, error) {
	var list []string
	for _, ns := range spec.Linux.Namespaces {
		name := externalName(ns)
		if name == "" {
			continue
		}
		kind := "net"
		if ns.Type == specs.PIDNamespace {
			kind = "pid"
		}
		var st unix.Stat_t
		if err := unix.Stat(fmt.Sprintf("/proc/%d/ns/%s", c.record.Init.PID, kind), &st); err != nil {
			return nil, fmt.Errorf("the container's %s namespace: %w", ns.Type, err)
		}
		list = append(list, fmt.Sprintf("%s[%d]:%s", kind, st.Ino, name))
	}
	return list, nil
}

// standardStreams describes the first process's standard streams: what is kept
// for the restore, and those that CRIU has to be told of because they lead to
// files outside of the container.
func standardStreams(pid int) (streams, external []string, err error) {
	streams = make([]string, 3)
	for fd := range streams {
		path := fmt.Sprintf("/proc/%d/fd/%d", pid, fd)
		link, err := os.Readlink(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // it has closed it
		}
		if err != nil {
			return nil, nil, fmt.Errorf("the process's descriptor %d: %w", fd, err)
		}
		streams[fd] = link
		name, err := externalFile(pid, fd, path, link)
		if err != nil {
			return nil, nil, err
		}
		if name != "" {
			streams[fd], external = name, append(external, name)
		}
	}
	return streams, external, nil
}

// externalFile is CRIU's name for a descriptor whose file is on none of the container's mounts, or "".
func externalFile(pid, fd int, path, link string) (string, error) {
	if !strings.HasPrefix(link, "/") {
		return "", nil // a pipe, a socket
	}
	info, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", pid, fd))
	if err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(string(info), "\nmnt_id:")
	line, _, _ := strings.Cut(rest, "\n")
	id, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return "", nil
	}
	table, err := readMounts(pid)
	if err != nil {
		return "", err
	}
	for _, m := range table {
		if m.id == id {
			return "", nil
		}
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return "", err
	}
	const ptsMajor, ptsMajors, ttyMajor = 136, 8, 4 // admin-guide/devices.txt
	major := unix.Major(st.Rdev)
	switch {
	case strings.HasPrefix(link, "/memfd:"):
		return "", nil
	case st.Mode&unix.S_IFMT == unix.S_IFCHR && (major >= ptsMajor && major < ptsMajor+ptsMajors || major == ttyMajor):
		return fmt.Sprintf("tty[%x:%x]", st.Rdev, st.Dev), nil
	}
	return fmt.Sprintf("file[%x:%x]", id, st.Ino), nil
}

func writeDescriptors(dir int, streams []string) error {
	data, err := json.Marshal(streams)
	if err != nil {
		return err
	}
	fd, err := unix.Openat(dir, descriptorsFile, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
	if err == nil {
		f := os.NewFile(uintptr(fd), descriptorsFile)
		_, err = f.Write(data)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", descriptorsFile, err)
	}
	return nil
}
