package console

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// listen makes a listening socket at path, which may be too long to be bound to.
func listen(t *testing.T, path string) int {
	t.Helper()
	sock, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(sock) })
	if path[0] != '@' {
		t.Chdir(filepath.Dir(path))
		path = filepath.Base(path)
	}
	if err := unix.Bind(sock, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(sock, 1); err != nil {
		t.Fatal(err)
	}
	return sock
}

// receive accepts one connection, and returns the message and its descriptors.
func receive(t *testing.T, sock int) (payload string, fds []int) {
	t.Helper()
	conn, _, err := unix.Accept4(sock, unix.SOCK_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(conn)
	buf, oob := make([]byte, 8192), make([]byte, 1024)
	n, oobn, flags, _, err := unix.Recvmsg(conn, buf, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil || flags&unix.MSG_CTRUNC != 0 {
		t.Fatalf("recvmsg: flags %x, %v", flags, err)
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(msgs) != 1 {
		t.Fatalf("%d control messages, %v", len(msgs), err)
	}
	fds, err = unix.ParseUnixRights(&msgs[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		t.Cleanup(func() { unix.Close(fd) })
	}
	// Nothing follows.
	if m, err := unix.Read(conn, buf[n:]); m != 0 || err != nil {
		t.Errorf("after the message: %d bytes, %v", m, err)
	}
	return string(buf[:n]), fds
}

func TestSendMaster(t *testing.T) {
	dir := t.TempDir()
	long := filepath.Join(dir, strings.Repeat("d", 200))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		filepath.Join(dir, "s"),
		filepath.Join(dir, strings.Repeat("x", maxSunPath-len(dir)-1)),
		filepath.Join(long, "s"),
		filepath.Join(long, strings.Repeat("s", 100)),
		"@davit-console-test",
	} {
		master, _ := pty(t)
		number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
		if err != nil {
			t.Fatal(err)
		}
		sock := listen(t, path)
		if err := SendMaster(path, master); err != nil {
			t.Fatal(err)
		}
		payload, fds := receive(t, sock)
		if payload != "/dev/ptmx" || len(fds) != 1 {
			t.Fatalf("%s: payload %q, %d descriptors", path, payload, len(fds))
		}
		if n, err := unix.IoctlGetInt(fds[0], unix.TIOCGPTN); err != nil || n != number {
			t.Errorf("%s: pty %d, %v; want %d", path, n, err, number)
		}
	}
}

func TestSendMasterFails(t *testing.T) {
	dir := t.TempDir()
	master, _ := pty(t)
	gone := filepath.Join(dir, "gone")
	unix.Close(listen(t, gone)) // leaves a socket that nobody listens on
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		filepath.Join(dir, "missing"):                unix.ENOENT,
		filepath.Join(dir, strings.Repeat("m", 200)): unix.ENOENT,
		filepath.Join(dir, strings.Repeat("m", 300)): unix.ENAMETOOLONG,
		gone: unix.ECONNREFUSED,
		file: unix.ECONNREFUSED,
		filepath.Join(file, strings.Repeat("not a dir", 20)): unix.ENOTDIR,
	} {
		err := SendMaster(path, master)
		if !errors.Is(err, want) || !strings.HasPrefix(err.Error(), "console socket "+path+": connect: ") {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	for _, name := range []string{"", strings.Repeat("n", maxPayload)} {
		if err := SendFile(gone, name, master); err == nil || !strings.Contains(err.Error(), "want 1 to 4095") {
			t.Errorf("a payload of %d bytes: %v", len(name), err)
		}
	}
}
