package console

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// RelayOptions say what a Relay connects a container's terminal to.
type RelayOptions struct {
	// Console is the caller's terminal, whose size the container's follows. If In
	// is a terminal it is the Console's, and raw until the relay's end.
	Console *Console
	// In and Out are what is typed and shown: standard input and output if nil.
	// They are often shared with other processes, and stay in the mode, blocking
	// or not, that they have.
	In, Out *os.File
}

// Relay copies between the caller's terminal and the master of a container's pty
// while a process runs in the foreground.
//
// What the container prints is never thrown away as long as Out takes it, and
// never waited for by spinning. Once Out fails, because its reader is gone or the
// terminal was hung up, it is read and dropped, so that the container does not
// get stuck on a terminal that is nobody's. The end of In, by contrast, means
// nothing to the container: a file typed into a terminal has no end.
//
// Signals are the caller's to catch, who passes on to Signal what is about the
// terminal, and calls Close before it dies of one.
type Relay struct {
	console *Console
	master  *os.File // the caller's
	pty     int      // the same, O_NONBLOCK
	in, out *os.File
	inFD    int
	outFD   int
	raw     bool // In is a terminal

	ended    atomic.Bool // the process has, and draining says so to who polls
	draining event
	aborting event
	outErr   error         // the first of Out, valid once outDone is closed
	outDone  chan struct{} // closed when all is shown

	mu       sync.Mutex // held to change the caller's terminal
	over     bool       // it is restored
	closed   chan struct{}
	closeErr error
}

// NewRelay sets the terminals up and begins to copy. The master must not be
// closed until Finish or Close has returned. The process may be started before
// or after.
func NewRelay(master *os.File, opts RelayOptions) (*Relay, error) {
	r := &Relay{
		console: opts.Console, master: master, pty: -1, in: opts.In, out: opts.Out,
		outDone: make(chan struct{}), closed: make(chan struct{}),
	}
	if r.in == nil {
		r.in = os.Stdin
	}
	if r.out == nil {
		r.out = os.Stdout
	}
	if err := r.open(); err != nil {
		r.closeFiles()
		return nil, fmt.Errorf("relay of %s: %w", master.Name(), err)
	}
	if err := r.adopt(); err != nil {
		r.Close()
		r.closeFiles()
		return nil, err
	}

	var both sync.WaitGroup
	both.Go(r.copyOut)
	both.Go(r.copyIn)
	go func() {
		// A blocked In or Out may hold them back beyond Close.
		both.Wait()
		<-r.closed
		r.closeFiles()
	}()
	return r, nil
}

// open makes the descriptors that the relay works with.
func (r *Relay) open() (err error) {
	if r.inFD, err = descriptor(r.in); err != nil {
		return err
	}
	if r.outFD, err = descriptor(r.out); err != nil {
		return err
	}
	_, notTerminal := New(r.in)
	r.raw = notTerminal == nil
	if err = r.draining.open(); err != nil {
		return err
	}
	if err = r.aborting.open(); err != nil {
		return err
	}
	err = control(r.master, func(fd int) (err error) {
		r.pty, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		return err
	})
	if err != nil {
		return err
	}
	return unix.SetNonblock(r.pty, true)
}

func (r *Relay) closeFiles() {
	r.draining.file.Close()
	r.aborting.file.Close()
	if r.pty >= 0 {
		unix.Close(r.pty)
	}
}

// adopt makes the caller's terminal the container's: in size, and unless its keys
// are not what is typed, in mode. Were it raw then, Ctrl-C would reach nobody.
func (r *Relay) adopt() error {
	if r.raw {
		if err := r.console.SetRaw(); err != nil {
			return err
		}
	}
	return r.console.CopySize(r.master)
}

// Signal tells the relay of a signal that the process got: after SIGWINCH the
// caller's terminal has another size, and after SIGCONT, which follows a stop, it
// may be in another mode, the shell's. Others mean nothing to it.
func (r *Relay) Signal(sig unix.Signal) {
	if sig != unix.SIGWINCH && sig != unix.SIGCONT {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	// There is nobody to tell of a terminal that is gone.
	if sig == unix.SIGCONT && r.raw {
		_ = r.console.SetRaw()
	}
	_ = r.console.CopySize(r.master)
}

// Finish ends the relay after the process has ended: it shows all that was
// printed until then, and restores the terminal. The error is that of writing to
// Out, or of restoring. It waits for a reader of Out that has stalled; Close,
// called meanwhile, ends the waiting.
func (r *Relay) Finish() error {
	r.ended.Store(true)
	r.draining.raise()
	select {
	case <-r.outDone:
	case <-r.closed:
	}
	err := r.Close()
	select {
	case <-r.outDone:
		if r.outErr != nil {
			return fmt.Errorf("show the container's output: %w", r.outErr)
		}
	default:
	}
	return err
}

// Close ends the relay at once, whatever is still to be shown, and restores the
// terminal. After Finish, or a second time, it changes nothing.
func (r *Relay) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.over {
		r.over = true
		r.aborting.raise()
		close(r.closed)
		r.closeErr = r.console.Restore()
	}
	return r.closeErr
}

// descriptor returns the number of a file that stays open.
func descriptor(f *os.File) (fd int, err error) {
	err = control(f, func(n int) error { fd = n; return nil })
	return fd, err
}

// event is an eventfd(2) that, once raised, is readable for good. The file lets
// it be raised when it is closed, without harm.
type event struct {
	file *os.File
	fd   int32
}

func (e *event) open() error {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err == nil {
		e.file, e.fd = os.NewFile(uintptr(fd), "eventfd"), int32(fd)
	}
	return err
}

func (e *event) raise() { e.file.Write([]byte{7: 1}) } // not 0 in either byte order
