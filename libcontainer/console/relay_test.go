package console

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// user is the terminal a person sits at: a pty whose slave is that terminal, and
// whose master is the person.
type user struct {
	*reader
	person, tty *os.File
	console     *Console
}

func newUser(t *testing.T) *user {
	t.Helper()
	master, slave := pty(t)
	c, err := New(slave)
	if err != nil {
		t.Fatal(err)
	}
	if err := SetSize(master, specs.Box{Height: 30, Width: 100}); err != nil {
		t.Fatal(err)
	}
	return &user{read(t, master), master, slave, c}
}

func (u *user) relay(t *testing.T, master *os.File) *Relay {
	t.Helper()
	return relay(t, master, RelayOptions{Console: u.console, In: u.tty, Out: u.tty})
}

func relay(t *testing.T, master *os.File, opts RelayOptions) *Relay {
	t.Helper()
	r, err := NewRelay(master, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// finish is Finish, which must not hang.
func finish(t *testing.T, r *Relay) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- r.Finish() }()
	select {
	case err := <-done:
		return err
	case <-time.After(30 * time.Second):
		t.Fatal("Finish hangs")
		return nil
	}
}

// TestSession: a shell's session, typed and shown.
func TestSession(t *testing.T) {
	master, slave := pty(t)
	if err := ClearONLCR(master); err != nil {
		t.Fatal(err)
	}
	u := newUser(t)
	before := attributes(t, u.tty)
	r := u.relay(t, master)
	if a := attributes(t, u.tty); a.Lflag&(unix.ECHO|unix.ICANON|unix.ISIG) != 0 {
		t.Errorf("the terminal is not raw: %+v", a)
	}
	cmd := atTerminal(slave, "sh", "-c", `
		trap 'echo interrupted' INT
		stty size
		read -r line; echo "read <$line>"
		until read -r line && [ "$line" = size ]; do :; done
		stty size
		exit 4`)
	start(t, cmd, slave)
	u.until("30 100\r\n")
	u.person.WriteString("hello\r")
	u.until("read <hello>\r\n")
	u.person.WriteString("\x03") // Ctrl-C is the container's
	u.until("interrupted\r\n")

	if err := SetSize(u.person, specs.Box{Height: 31, Width: 101}); err != nil {
		t.Fatal(err)
	}
	r.Signal(unix.SIGWINCH)
	for range 1000 {
		if ws, err := unix.IoctlGetWinsize(int(master.Fd()), unix.TIOCGWINSZ); err == nil && ws.Row == 31 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	u.person.WriteString("size\r")
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 4 {
		t.Errorf("exit code %d", code)
	}
	if err := finish(t, r); err != nil {
		t.Error(err)
	}
	u.until("31 101\r\n")
	if after := attributes(t, u.tty); after != before {
		t.Errorf("the terminal was %+v, is %+v", before, after)
	}
	if err := r.Finish(); err != nil {
		t.Errorf("a second Finish: %v", err)
	}
}

// TestEveryByte sends 50 MB of all byte values through the pty, to a reader that
// pauses at times.
func TestEveryByte(t *testing.T) {
	if testing.Short() {
		t.Skip("50 MB take long: not in -short")
	}
	master, slave := pty(t)
	if err := ClearONLCR(master); err != nil {
		t.Fatal(err)
	}
	out, w := pipe(t)
	in, _ := pipe(t)
	u := newUser(t)
	r := relay(t, master, RelayOptions{Console: u.console, In: in, Out: w})
	cmd := self("noise")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, os.Stderr
	begin, used := time.Now(), cpu(t)
	start(t, cmd, slave)
	go func() {
		cmd.Wait()
		if err := r.Finish(); err != nil {
			t.Error(err)
		}
		w.Close()
	}()
	h := sha256.New()
	buf := make([]byte, 64<<10)
	total, pauses := 0, 0
	for {
		n, err := out.Read(buf)
		h.Write(buf[:n])
		if total/5_000_000 != (total+n)/5_000_000 {
			time.Sleep(50 * time.Millisecond)
			pauses++
		}
		total += n
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d bytes in %v with %d pauses, %v of processor time", total, time.Since(begin), pauses, cpu(t)-used)
	if total != noiseSize || [32]byte(h.Sum(nil)) != noiseSum(t) {
		t.Errorf("%d bytes arrived, of %d; their hash is right: %v", total, noiseSize, [32]byte(h.Sum(nil)) == noiseSum(t))
	}
}

// TestLastWords: what a process prints before it ends is shown, each time.
func TestLastWords(t *testing.T) {
	for i := range 100 {
		master, slave := pty(t)
		out, w := pipe(t)
		in, _ := pipe(t)
		r := relay(t, master, RelayOptions{Console: newUser(t).console, In: in, Out: w})
		cmd := atTerminal(slave, "sh", "-c", `head -c 3000 /dev/zero | tr '\0' x; printf END`)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// A slave that stays open must not keep Finish waiting.
		if i%2 == 0 {
			slave.Close()
		}
		cmd.Wait()
		if err := finish(t, r); err != nil {
			t.Fatal(err)
		}
		w.Close()
		got, err := io.ReadAll(out)
		if err != nil || len(got) != 3003 || !bytes.HasSuffix(got, []byte("xEND")) {
			t.Fatalf("round %d: %d bytes, %v", i, len(got), err)
		}
		for _, f := range []*os.File{master, slave, in, out} {
			f.Close()
		}
	}
}

// TestStalledReader: while nobody reads, nothing spins, keys still arrive, and
// afterwards nothing is missing.
func TestStalledReader(t *testing.T) {
	master, slave := pty(t)
	if err := ClearONLCR(master); err != nil {
		t.Fatal(err)
	}
	out, w := pipe(t)
	in, keys := pipe(t)
	// As others that share the output may have left it: full means EAGAIN.
	if err := unix.SetNonblock(int(w.Fd()), true); err != nil {
		t.Fatal(err)
	}
	r := relay(t, master, RelayOptions{Console: newUser(t).console, In: in, Out: w})
	done, told := pipe(t)
	cmd := atTerminal(slave, "sh", "-c", `trap 'echo int >&3; kill $!; exit' INT; yes "$(printf %79s | tr ' ' y)" & wait`)
	cmd.ExtraFiles = []*os.File{told}
	start(t, cmd, slave)
	time.Sleep(300 * time.Millisecond) // the pipes fill up
	used := cpu(t)
	time.Sleep(time.Second)
	if d := cpu(t) - used; d > 100*time.Millisecond {
		t.Errorf("%v of processor time in a stalled second", d)
	}
	keys.WriteString("\x03")
	read(t, done).until("int\n")

	finished := make(chan error, 2)
	cmd.Wait()
	go func() { finished <- r.Finish() }()
	select {
	case err := <-finished:
		t.Fatalf("Finish did not wait for the reader: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	go func() { finished <- r.Finish(); w.Close() }()
	all, err := io.ReadAll(out)
	if err := errors.Join(err, <-finished, <-finished); err != nil {
		t.Fatal(err)
	}
	// Whole lines, but for the echo of the key and what it cut off.
	lines := strings.Split(string(all), "\n")
	want := strings.Repeat("y", 79)
	for i, line := range lines[:len(lines)-2] {
		if line != want && !strings.Contains(line, "^C") {
			t.Fatalf("line %d of %d: %q", i, len(lines), line)
		}
	}
	if len(lines) < 500 {
		t.Errorf("%d lines", len(lines))
	}
}

// TestCloseWhileStalled: Close ends a Finish that a stalled reader holds up.
func TestCloseWhileStalled(t *testing.T) {
	master, slave := pty(t)
	_, w := pipe(t)
	u := newUser(t)
	before := attributes(t, u.tty)
	r := relay(t, master, RelayOptions{Console: u.console, In: u.tty, Out: w})
	cmd := atTerminal(slave, "sh", "-c", "yes")
	start(t, cmd, slave)
	time.Sleep(200 * time.Millisecond)
	cmd.Process.Kill()
	cmd.Wait()
	finished := make(chan error)
	go func() { finished <- r.Finish() }()
	time.Sleep(50 * time.Millisecond)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-finished:
	case <-time.After(10 * time.Second):
		t.Fatal("Finish goes on waiting")
	}
	if attributes(t, u.tty) != before {
		t.Error("the terminal was not restored")
	}
}

// TestOutGone: a container whose output nobody takes any more goes on, and the
// loss is reported.
func TestOutGone(t *testing.T) {
	master, slave := pty(t)
	out, w := pipe(t)
	in, _ := pipe(t)
	out.Close()
	r := relay(t, master, RelayOptions{Console: newUser(t).console, In: in, Out: w})
	cmd := atTerminal(slave, "sh", "-c", "head -c 1000000 /dev/zero; exit 6")
	start(t, cmd, slave)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 6 {
		t.Errorf("exit code %d", code)
	}
	if err := finish(t, r); !errors.Is(err, unix.EPIPE) {
		t.Errorf("Finish: %v", err)
	}
}

// TestInEnds: the end of the input ends nothing else, and makes nothing spin.
func TestInEnds(t *testing.T) {
	hungUp := func() *os.File {
		m, s, err := newPty()
		if err != nil {
			t.Fatal(err)
		}
		m.Close()
		return s
	}
	empty, w := pipe(t)
	w.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string]*os.File{"pipe": empty, "null": null, "hung-up terminal": hungUp()} {
		master, slave := pty(t)
		out, w := pipe(t)
		r := relay(t, master, RelayOptions{Console: newUser(t).console, In: in, Out: w})
		cmd := atTerminal(slave, "sh", "-c", "sleep 0.5; echo later")
		used := cpu(t)
		start(t, cmd, slave)
		cmd.Wait()
		if d := cpu(t) - used; d > 100*time.Millisecond {
			t.Errorf("%s: %v of processor time in half a second", name, d)
		}
		if err := finish(t, r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		w.Close()
		if got, _ := io.ReadAll(out); string(got) != "later\r\n" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestReopened: a terminal that no process has open for a while is not the end,
// and what is typed meanwhile arrives.
func TestReopened(t *testing.T) {
	master, slave := pty(t)
	name := slave.Name()
	out, w := pipe(t)
	in, keys := pipe(t)
	r := relay(t, master, RelayOptions{Console: newUser(t).console, In: in, Out: w})
	output := read(t, out)
	slave.WriteString("first.")
	slave.Close()
	output.until("first.")
	keys.WriteString("typed\n")
	used := cpu(t)
	time.Sleep(500 * time.Millisecond)
	if d := cpu(t) - used; d > 100*time.Millisecond {
		t.Errorf("%v of processor time in half a second", d)
	}
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	again := os.NewFile(uintptr(fd), name)
	defer again.Close()
	again.WriteString("second.")
	output.until("second.")
	if got := read(t, again).until("\n"); got != "typed\n" {
		t.Errorf("typed text arrived as %q", got)
	}
	if err := finish(t, r); err != nil {
		t.Error(err)
	}
}

// TestEndlessOther: another process that goes on writing to the terminal after
// the end of ours does not keep Finish.
func TestEndlessOther(t *testing.T) {
	master, slave := pty(t)
	in, _ := pipe(t)
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	r := relay(t, master, RelayOptions{Console: newUser(t).console, In: in, Out: null})
	cmd := self("noise")
	cmd.Stdout = slave
	start(t, cmd, slave)
	time.Sleep(100 * time.Millisecond)
	begin := time.Now()
	if err := finish(t, r); err != nil {
		t.Error(err)
	}
	if d := time.Since(begin); d > 2*time.Second {
		t.Errorf("Finish took %v", d)
	}
}

// TestOutputOnly: without a terminal to type at, the other one keeps its mode.
func TestOutputOnly(t *testing.T) {
	master, slave := pty(t)
	u := newUser(t)
	before := attributes(t, u.tty)
	in, keys := pipe(t)
	r := relay(t, master, RelayOptions{Console: u.console, In: in, Out: u.tty})
	if attributes(t, u.tty) != before {
		t.Error("the terminal is raw")
	}
	cmd := atTerminal(slave, "sh", "-c", `stty -echo; read -r x; stty size; echo "<$x>"`)
	start(t, cmd, slave)
	keys.WriteString("abc\n")
	cmd.Wait()
	if err := finish(t, r); err != nil {
		t.Error(err)
	}
	u.until("30 100")
	u.until("<abc>")
}
