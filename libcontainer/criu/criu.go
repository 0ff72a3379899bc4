// Package criu drives CRIU, which writes processes to image files and makes
// them again from those (criu(8), https://criu.org).
//
// CRIU is a program. It is started as `criu swrk FD`, which serves requests on
// a SEQPACKET socket: one protocol buffer a message, as CRIU's rpc.proto has
// them. Of these this package knows the fields that a container runtime needs,
// encodes and decodes them itself, and has nothing to initialise: most commands
// of a runtime never come here.
//
// In the course of a dump or restore CRIU asks back (notifications): the
// requester does its part, such as running hooks, before CRIU goes on.
package criu

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"davit/nsenter"
)

// Program is what CRIU's executable is called.
const Program = "criu"

// MinVersion is the oldest CRIU that is driven, as major*10000 + minor*100: it
// has lsm_mount_context, external PID namespaces and the freezer of cgroup v2.
const MinVersion = 31600

// Errors that callers match.
var (
	// ErrNotFound is a host without CRIU.
	ErrNotFound = errors.New("checkpoint and restore are CRIU's work, and there is no criu in PATH: install the package criu")
	// ErrTooOld is a CRIU older than [MinVersion].
	ErrTooOld = errors.New("is too old: 3.16 or newer is needed")
)

// defaultPath is searched where the caller's environment has no PATH, as some engines' has not.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Find looks for CRIU in the directories of PATH.
func Find() (string, error) {
	if path := find(Program); path != "" {
		return path, nil
	}
	return "", ErrNotFound
}

// BestNetworkLock is how CRIU can keep packets from a network namespace whose
// connections it dumps: by the programs of iptables, as it does unless told
// otherwise, or without a program where these are missing.
func BestNetworkLock() NetworkLock {
	if find("iptables-restore") != "" && find("ip6tables-restore") != "" {
		return LockByDefault
	}
	return LockByNFTables
}

// find looks for a program; "" is none.
func find(name string) string {
	list, ok := os.LookupEnv("PATH")
	if !ok {
		list = defaultPath
	}
	for dir := range strings.SplitSeq(list, ":") {
		if !strings.HasPrefix(dir, "/") { // the working directory may be anybody's
			continue
		}
		path := dir + "/" + name
		var st unix.Stat_t
		if unix.Stat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && unix.Access(path, unix.X_OK) == nil {
			return path
		}
	}
	return ""
}

// Worker is a running CRIU. It is not safe for concurrent use.
type Worker struct {
	PID    int // of the CRIU process, the caller's child
	sock   int
	output *os.File
}

// firstExtra is CRIU's number for the first of the files behind its standard
// streams and the socket.
const firstExtra = 4

// ExtraFD is the number that CRIU has for extra file i of [Start].
func ExtraFD(i int) int32 { return int32(firstExtra + i) }

// Start runs a CRIU. It gets extra as its descriptors from [ExtraFD](0) on. It
// is in the namespaces of the calling thread, and ends with the connection.
// What it writes besides its log, it and the programs that it starts, is kept
// from the caller's terminal: [Worker.Output] has it.
func Start(path string, extra []uintptr) (*Worker, error) {
	null, err := os.Open("/dev/null")
	if err != nil {
		return nil, fmt.Errorf("start criu: %w", err)
	}
	defer null.Close()
	fd, err := unix.MemfdCreate("criu-output", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("start criu: memfd_create: %w", err)
	}
	output := os.NewFile(uintptr(fd), "criu-output")
	w, err := start(path, append([]uintptr{null.Fd(), output.Fd(), output.Fd()}, extra...))
	if err != nil {
		output.Close()
		return nil, err
	}
	w.output = output
	return w, nil
}

// start runs a CRIU with descriptors, between the first three and the rest of which goes the socket.
func start(path string, files []uintptr) (*Worker, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("start criu: socketpair: %w", err)
	}
	defer unix.Close(pair[1])
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	nsenter.CallersTimers()
	files = slices.Insert(files, 3, uintptr(pair[1]))
	pid, err := syscall.ForkExec(path, []string{Program, "swrk", "3"}, &syscall.ProcAttr{Env: environment(), Files: files})
	if err != nil {
		unix.Close(pair[0])
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	return &Worker{PID: pid, sock: pair[0]}, nil
}

// environment is the caller's, with a PATH for the programs that CRIU starts:
// tar, ip, iptables-restore.
func environment() []string {
	env := os.Environ()
	if _, ok := os.LookupEnv("PATH"); !ok {
		env = append(env, "PATH="+defaultPath)
	}
	return env
}

// Output is the end of what CRIU wrote besides its log, where a CRIU says why it
// can't even begin one.
func (w *Worker) Output() string {
	const most = 4 << 10
	buf := make([]byte, most)
	end, err := w.output.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	n, _ := w.output.ReadAt(buf, end-min(end, most))
	return strings.TrimSpace(string(buf[:n]))
}

// Close ends the conversation and waits for CRIU's end.
func (w *Worker) Close() error {
	w.output.Close()
	if w.sock >= 0 {
		unix.Close(w.sock)
		w.sock = -1
	}
	if w.PID == 0 {
		return nil
	}
	var ws unix.WaitStatus
	for {
		_, err := unix.Wait4(w.PID, &ws, 0, nil)
		if err == unix.EINTR {
			continue
		}
		w.PID = 0
		return err
	}
}

// Notification is CRIU's asking back.
type Notification struct {
	Script string // what is due, by the name that CRIU's action scripts know it by
	PID    int    // of the restored root, for some
	Files  []int  // descriptors that came with it; whoever handles the notification owns them
}

// Do makes a request and waits for its answer. notify, which may be nil, is
// called whenever CRIU asks back; its error ends the operation and is returned.
// A refusal is a *[Error].
func (w *Worker) Do(req *Request, notify func(*Notification) error) (*Response, error) {
	if err := w.send(req); err != nil {
		return nil, err
	}
	var failed error
	for {
		resp, fds, err := w.receive()
		if err != nil {
			return nil, errors.Join(failed, err)
		}
		if resp.Type != Notify {
			closeAll(fds)
			return resp, verdict(req, resp, failed)
		}
		n := &Notification{Script: resp.Script, PID: int(resp.PID), Files: fds}
		if notify == nil {
			closeAll(fds)
		} else if err := notify(n); err != nil {
			failed = errors.Join(failed, err)
		}
		// CRIU undoes what it did when it is told of a failure.
		if err := w.send(&Request{Type: Notify, NotifySuccess: failed == nil}); err != nil {
			return nil, errors.Join(failed, err)
		}
	}
}

func verdict(req *Request, resp *Response, failed error) error {
	switch {
	case failed != nil:
		return failed
	case !resp.Success:
		return &Error{Type: req.Type, Errno: unix.Errno(resp.Errno), Message: resp.ErrorMsg}
	case resp.Type != req.Type:
		return fmt.Errorf("criu answered a request of type %d with one of type %d", req.Type, resp.Type)
	}
	return nil
}

// Error is an operation that CRIU didn't do.
type Error struct {
	Type    Type
	Errno   unix.Errno // 0 where CRIU has none
	Message string     // of CRIU's, possibly empty
}

func (e *Error) Error() string {
	s := "criu refused"
	switch e.Type {
	case Dump, PreDump:
		s = "criu could not dump the processes"
	case Restore:
		s = "criu could not restore the processes"
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	if e.Errno > 0 {
		s += " (" + e.Errno.Error() + ")"
	}
	return s
}

func (w *Worker) send(req *Request) error {
	data := req.encode()
	for {
		err := unix.Sendmsg(w.sock, data, nil, nil, unix.MSG_NOSIGNAL)
		switch err {
		case nil:
			return nil
		case unix.EINTR:
		default:
			return fmt.Errorf("talk to criu: %w", w.ended(err))
		}
	}
}

// maxMessage is more than CRIU ever says.
const maxMessage = 64 << 10

func (w *Worker) receive() (*Response, []int, error) {
	buf, oob := make([]byte, maxMessage), make([]byte, unix.CmsgSpace(4*16))
	for {
		n, on, flags, _, err := unix.Recvmsg(w.sock, buf, oob, unix.MSG_CMSG_CLOEXEC)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return nil, nil, fmt.Errorf("listen to criu: %w", w.ended(err))
		}
		fds, err := received(oob[:on])
		if err != nil {
			return nil, nil, fmt.Errorf("listen to criu: %w", err)
		}
		if flags&unix.MSG_TRUNC != 0 {
			closeAll(fds)
			return nil, nil, fmt.Errorf("listen to criu: a message has more than %d bytes", maxMessage)
		}
		resp := new(Response)
		if err := resp.decode(buf[:n]); err != nil {
			closeAll(fds)
			return nil, nil, fmt.Errorf("listen to criu: %w", err)
		}
		return resp, fds, nil
	}
}

// ended turns the end of the conversation into an error that tells why, where that is known.
func (w *Worker) ended(err error) error {
	if err != nil && err != unix.EPIPE && err != unix.ECONNRESET {
		return err
	}
	return errors.New("it ended without an answer")
}

func received(oob []byte) ([]int, error) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var fds []int
	for i := range msgs {
		got, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			continue // credentials, say
		}
		fds = append(fds, got...)
	}
	return fds, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// CheckVersion asks CRIU for its version. One that is too old is [ErrTooOld].
func (w *Worker) CheckVersion() error {
	resp, err := w.Do(&Request{Type: Version, KeepOpen: true}, nil)
	if err != nil {
		return err
	}
	if v := resp.Major*10000 + resp.Minor*100 + resp.Sublevel; v < MinVersion {
		return fmt.Errorf("criu %d.%d %w", resp.Major, resp.Minor, ErrTooOld)
	}
	return nil
}

// Check asks which features this CRIU has on this kernel.
func (w *Worker) Check(want Features) (Features, error) {
	resp, err := w.Do(&Request{Type: FeatureCheck, Features: &want, KeepOpen: true}, nil)
	if err != nil {
		return Features{}, err
	}
	return resp.Features, nil
}
