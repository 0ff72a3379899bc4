package console

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Some tests need a process at a terminal that is this package's. It is this test
// binary again, told by an environment variable which part to play.
const roleEnv = "CONSOLE_TEST_ROLE"

func TestMain(m *testing.M) {
	role := os.Getenv(roleEnv)
	if role == "" {
		os.Exit(m.Run())
	}
	if err := play(role); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func play(role string) error {
	switch role {
	case "current":
		c, err := Current()
		if errors.Is(err, ErrNotTerminal) {
			fmt.Fprintln(os.NewFile(3, "report"), "none")
			return nil
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(os.NewFile(3, "report"), c.file.Name())
		return c.Close()
	case "noise":
		_, err := io.Copy(os.Stdout, newNoise())
		return err
	case "foreground":
		return playForeground()
	}
	return errors.New("unknown role " + role)
}

// playForeground is what a foreground run does: it relays between its terminal
// and that of a shell until the shell ends.
func playForeground() error {
	master, slave, err := newPty()
	if err != nil {
		return err
	}
	c, err := Current()
	if err != nil {
		return err
	}
	caught := make(chan os.Signal, 8)
	signal.Notify(caught, unix.SIGTERM, unix.SIGHUP, unix.SIGCONT)
	r, err := NewRelay(master, RelayOptions{Console: c})
	if err != nil {
		return err
	}
	go func() {
		for sig := range caught {
			if sig == unix.SIGCONT {
				r.Signal(unix.SIGCONT)
				continue
			}
			r.Close()
			signal.Reset(sig)
			unix.Kill(unix.Getpid(), sig.(unix.Signal))
		}
	}()
	cmd := atTerminal(slave, "sh", "-c", `echo ready; read -r line; echo "got $line"; exit 3`)
	if err := cmd.Start(); err != nil {
		return err
	}
	slave.Close()
	cmd.Wait()
	return r.Finish()
}

// self prepares this binary in a role.
func self(role string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	return cmd
}

// newPty makes a pty. Its files are blocking, as those that are passed between
// processes are.
func newPty() (master, slave *os.File, err error) {
	m, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	master = os.NewFile(uintptr(m), "/dev/ptmx")
	n, err := unix.IoctlGetInt(m, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(m, unix.TIOCSPTLCK, 0)
	}
	s := -1
	name := "/dev/pts/" + strconv.Itoa(n)
	if err == nil {
		s, err = unix.Open(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		master.Close()
		return nil, nil, err
	}
	return master, os.NewFile(uintptr(s), name), nil
}

func pty(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, slave, err := newPty()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close(); slave.Close() })
	return master, slave
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	r, w = os.NewFile(uintptr(p[0]), "r"), os.NewFile(uintptr(p[1]), "w")
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// atTerminal prepares a program whose controlling terminal is slave.
func atTerminal(slave *os.File, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	return cmd
}

// start starts a command, and closes the parent's slave.
func start(t *testing.T, cmd *exec.Cmd, slave *os.File) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
}

// reader collects what arrives at a file, in the background.
type reader struct {
	t    *testing.T
	data chan string
	got  string
}

func read(t *testing.T, f *os.File) *reader {
	r := &reader{t: t, data: make(chan string, 1024)}
	go func() {
		defer close(r.data)
		buf := make([]byte, 4096)
		for {
			n, err := f.Read(buf)
			if n > 0 {
				r.data <- string(buf[:n])
			}
			if err != nil {
				return
			}
		}
	}()
	return r
}

// until waits for text to arrive, and returns all that did.
func (r *reader) until(text string) string {
	r.t.Helper()
	deadline := time.After(20 * time.Second)
	for !strings.Contains(r.got, text) {
		select {
		case s, ok := <-r.data:
			if !ok {
				r.t.Fatalf("the end came before %q: %q", text, r.got)
			}
			r.got += s
		case <-deadline:
			r.t.Fatalf("no %q in %q", text, r.got)
		}
	}
	return r.got
}

// cpu is the processor time this process has used.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var ru unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &ru); err != nil {
		t.Fatal(err)
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// noise is noiseSize bytes of every value, always the same.
const noiseSize = 50_000_000

type noise struct {
	rng  *rand.ChaCha8
	left int
}

func newNoise() *noise { return &noise{rand.NewChaCha8([32]byte{1}), noiseSize} }

func (n *noise) Read(p []byte) (int, error) {
	if n.left == 0 {
		return 0, io.EOF
	}
	p = p[:min(len(p), n.left)]
	n.left -= len(p)
	return n.rng.Read(p)
}

func noiseSum(t *testing.T) [32]byte {
	t.Helper()
	h := sha256.New()
	if _, err := io.Copy(h, newNoise()); err != nil {
		t.Fatal(err)
	}
	return [32]byte(h.Sum(nil))
}
