package rootless

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// envPrivate tells a process that it is in the tests' own mount namespace; its value is a directory for the taking.
const envPrivate = "DAVIT_ROOTLESS_PRIVATE"

func TestMain(m *testing.M) {
	syscall.Umask(0o022) // the users read /etc
	if os.Geteuid() != 0 {
		os.Exit(harness.Main(m)) // whoever needs root says so
	}
	if os.Getenv(envPrivate) == "" {
		code, err := inPrivate()
		if err != nil {
			fmt.Fprintln(os.Stderr, "rootless:", err)
			code = 1
		}
		os.Exit(code)
	}
	if err := addUsers(os.Getenv(envPrivate)); err != nil {
		fmt.Fprintln(os.Stderr, "rootless:", err)
		os.Exit(1)
	}
	os.Exit(harness.Main(m))
}

// inPrivate runs these tests once more, in a mount namespace of their own.
func inPrivate() (code int, err error) {
	dir, err := os.MkdirTemp("", "davit-rootless-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return 0, err
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), envPrivate+"="+dir)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// account is a user of the tests.
type account struct {
	name string
	uid  int
	sub  uint32 // the first of 65536 subordinate user and group ids; 0 for none
}

const subCount = 65536

var (
	skipper = &account{"davit-skipper", 471100, 471200000} // has subordinate ids
	hand    = &account{"davit-hand", 471101, 0}            // has none
)

// addUsers puts an overlay on /etc that has the tests' users.
func addUsers(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "etc")); err == nil {
		return nil // a process that these tests have started
	}
	if err := os.Mkdir(filepath.Join(dir, "etc"), 0o755); err != nil {
		return err
	}
	at := filepath.Join(dir, "etc")
	if err := unix.Mount("tmpfs", at, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount a tmpfs: %w", err)
	}
	for _, d := range []string{"upper", "work"} {
		if err := os.Mkdir(filepath.Join(at, d), 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount("overlay", "/etc", "overlay", 0, fmt.Sprintf("lowerdir=/etc,upperdir=%s/upper,workdir=%s/work", at, at)); err != nil {
		return fmt.Errorf("mount an overlay on /etc: %w", err)
	}
	for _, u := range []*account{skipper, hand} {
		lines := map[string]string{
			"passwd": fmt.Sprintf("%s:x:%d:%d::/:/bin/sh\n", u.name, u.uid, u.uid),
			"group":  fmt.Sprintf("%s:x:%d:\n", u.name, u.uid),
		}
		if u.sub != 0 {
			lines["subuid"] = fmt.Sprintf("%s:%d:%d\n", u.name, u.sub, subCount)
			lines["subgid"] = lines["subuid"]
		}
		for file, line := range lines {
			if err := appendTo("/etc/"+file, line); err != nil {
				return err
			}
		}
	}
	return nil
}

func appendTo(path, line string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(line); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
