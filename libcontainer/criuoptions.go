package libcontainer

import (
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

// CRIUOptions are what checkpoint and restore have in common, by the names of CRIU's options (criu(8)).
type CRIUOptions struct {
	ImagePath string // directory of the images; "" is "checkpoint" in the working directory
	WorkPath  string // directory of CRIU's log; "" is ImagePath

	TCPEstablished bool     // connections go along
	ExtUnixSk      bool     // UNIX sockets may be connected to outside
	ShellJob       bool     // the session and the terminal are outside
	FileLocks      bool     // file locks go along
	AutoDedup      bool     // pages that a later dump replaces are dropped from the earlier one
	LazyPages      bool     // memory is fetched from a page server when it is used
	CgroupMode     string   // soft, full, strict or ignore; "" is soft
	EmptyNS        []string // namespaces whose content is left out: "network"
}

// Names of the namespaces that the container joined at the dump and joins again at the restore.
const (
	externalNet = "extRootNetNS"
	externalPID = "extRootPidNS"
)

// descriptorsFile is where a dump keeps, beside the images, what the standard streams were.
const descriptorsFile = "descriptors.json"

// images are the open directories of a dump or restore, and its log.
type images struct {
	dir, work int
	path      string // of the images
	log       string // path of the log
	logFile   string // its name
}

// Modes of a directory of images. In a user namespace CRIU looks for images as
// the container's root, who can reach but not read them.
const (
	imagesMode     = 0o700
	imagesModeUser = 0o711
)

// openImages opens the directories, which a dump makes with the given mode.
func (o *CRIUOptions) openImages(logFile string, create os.FileMode) (*images, error) {
	path := o.ImagePath
	if path == "" {
		path = "checkpoint"
	}
	i := &images{dir: -1, work: -1, path: path, logFile: logFile}
	var err error
	if i.dir, err = openDirectory("--image-path", path, create); err != nil {
		return nil, err
	}
	at := path
	if o.WorkPath != "" {
		at = o.WorkPath
		if i.work, err = openDirectory("--work-path", at, imagesMode); err != nil {
			i.close()
			return nil, err
		}
	}
	if abs, err := filepath.Abs(at); err == nil {
		at = abs
	}
	i.log = filepath.Join(at, logFile)
	return i, nil
}

func openDirectory(flag, path string, create os.FileMode) (int, error) {
	if create != 0 {
		if err := os.MkdirAll(path, create); err != nil {
			return -1, fmt.Errorf("%s: %w", flag, err)
		}
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("%s: open %s: %w", flag, path, err)
	}
	return fd, nil
}

func (i *images) close() {
	for _, fd := range [...]int{i.dir, i.work} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	i.dir, i.work = -1, -1
}

// logLines is how many errors of CRIU's log an error of davit's quotes.
const logLines = 3

// explain adds to a failure of CRIU's what its log says, or without one what it wrote elsewhere.
func (i *images) explain(err error, w *criu.Worker) error {
	if err == nil {
		return nil
	}
	dir := i.work
	if dir < 0 {
		dir = i.dir
	}
	if lines := criu.LastErrors(dir, i.logFile, logLines); len(lines) > 0 {
		var refused *criu.Error
		if errors.As(err, &refused) {
			refused.Message = "" // it is among them, or of less interest than they are
		}
		return fmt.Errorf("%w: %s (log file: %s)", err, strings.Join(lines, "; "), i.log)
	}
	if out := w.Output(); out != "" {
		err = fmt.Errorf("%w: %s", err, out)
	}
	if unix.Faccessat(dir, i.logFile, unix.R_OK, 0) == nil {
		return fmt.Errorf("%w (log file: %s)", err, i.log)
	}
	return err
}

// options begins the options of a request.
func (o *CRIUOptions) options(i *images, spec *specs.Spec) (*criu.Options, error) {
	out := &criu.Options{
		ImagesDirFD: int32(i.dir), LogLevel: 4, LogFile: i.logFile, ManageCgroups: true, OrphanPtsMaster: true,
		TCPEstablished: o.TCPEstablished, ExtUnixSk: o.ExtUnixSk, ShellJob: o.ShellJob, FileLocks: o.FileLocks,
		AutoDedup: o.AutoDedup, LazyPages: o.LazyPages, ConfigFile: criuConfig(spec), NetworkLock: criu.BestNetworkLock(),
	}
	if i.work >= 0 {
		out.WorkDirFD = int32(i.work)
	}
	var err error
	if out.CgroupMode, err = cgroupMode(o.CgroupMode); err != nil {
		return nil, err
	}
	for _, ns := range o.EmptyNS {
		if ns != "network" {
			return nil, fmt.Errorf("--empty-ns: namespace %q is not supported, only network is", ns)
		}
		out.EmptyNamespaces |= unix.CLONE_NEWNET
	}
	return out, nil
}

func cgroupMode(name string) (criu.CgroupMode, error) {
	switch name {
	case "", "soft":
		return criu.CgroupSoft, nil
	case "full":
		return criu.CgroupFull, nil
	case "strict":
		return criu.CgroupStrict, nil
	case "ignore":
		return criu.CgroupIgnore, nil
	}
	return 0, fmt.Errorf("--manage-cgroups-mode: %q is none: choose soft, full, strict or ignore", name)
}

// criuConfigAnnotation names a file with more options for CRIU (criu(8), CONFIGURATION FILES); "" is none.
const criuConfigAnnotation = "org.criu.config"

// criuConfig is the file with the administrator's options: the one that the container names, or the one for all.
func criuConfig(spec *specs.Spec) string {
	if path, ok := spec.Annotations[criuConfigAnnotation]; ok {
		return path
	}
	for _, path := range [...]string{"/etc/criu/davit.conf", "/etc/criu/runc.conf"} {
		if unix.Access(path, unix.F_OK) == nil {
			return path
		}
	}
	return ""
}

// parsePageServer takes ADDRESS:PORT.
func parsePageServer(s string) (*criu.PageServer, error) {
	if s == "" {
		return nil, nil
	}
	i := strings.LastIndexByte(s, ':')
	if i < 1 {
		return nil, errors.New("--page-server: use ADDRESS:PORT")
	}
	port, err := strconv.ParseUint(s[i+1:], 10, 16)
	if err != nil || port == 0 {
		return nil, fmt.Errorf("--page-server: %q is no port", s[i+1:])
	}
	return &criu.PageServer{Address: strings.Trim(s[:i], "[]"), Port: int32(port)}, nil
}

// needCRIU refuses callers whom the kernel doesn't let dump or restore processes, and finds CRIU.
func needCRIU() (string, error) {
	var st unix.Stat_t
	userns := unix.Stat("/proc/self/ns/user", &st) == nil && st.Ino != initUserNS
	if userns || unix.Geteuid() != 0 {
		return "", errors.New("checkpoint and restore need root on the host: CRIU freezes and inspects foreign processes, makes them anew with their old pids," +
			" and mounts their filesystems, for which it has no way without root (rootless)")
	}
	return criu.Find()
}

// startCRIU starts one that is new enough.
func startCRIU(start func(path string) (*criu.Worker, error)) (*criu.Worker, error) {
	path, err := needCRIU()
	if err != nil {
		return nil, err
	}
	w, err := start(path)
	if err != nil {
		return nil, err
	}
	if err := w.CheckVersion(); err != nil {
		w.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return w, nil
}
