package harness

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// errNoBusybox makes tests skip: there is nothing to run in a container.
var errNoBusybox = errors.New("needs a static busybox in PATH (Debian's package is busybox-static)")

// makeTemplate makes the rootfs that all bundles are copies of: busybox with its applets, and users.
func makeTemplate() (string, error) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return "", errNoBusybox
	}
	if !isStatic(busybox) {
		return "", errNoBusybox
	}
	root := filepath.Join(suite.dir, "rootfs")
	for _, d := range []string{"bin", "etc"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return "", err
		}
	}
	if err := copyFile(busybox, filepath.Join(root, "bin/busybox"), 0o755); err != nil {
		return "", err
	}
	passwd := "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n"
	if err := os.WriteFile(filepath.Join(root, "etc/passwd"), []byte(passwd), 0o644); err != nil {
		return "", err
	}
	return root, os.WriteFile(filepath.Join(root, "etc/group"), []byte("root:x:0:\nalice:x:1000:\n"), 0o644)
}

func isStatic(path string) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return false
		}
	}
	return true
}

// applets are the busybox programs that tests use by name.
var applets = strings.Fields(`[ ash awk basename cat chmod chown chrt cp cut date dd df dirname domainname echo env expr false find getopt
	grep head hostname id ifconfig ionice ip ipcs kill killall ln ls md5sum mkdir mkfifo mknod mount mountpoint mv nc nice od printf ps pwd
	readlink realpath renice rm rmdir route sed seq setsid sh sleep sort stat stty sync tail tee test timeout touch tr true tty uname
	umount unshare uptime usleep wc wget which whoami xargs yes`)

// CopyRootfs makes a rootfs for one bundle. The busybox binary is shared.
func CopyRootfs(t testing.TB, to string) {
	t.Helper()
	template, err := suite.rootfs()
	if errors.Is(err, errNoBusybox) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"bin", "etc", "proc", "sys", "dev", "root", "home/alice"} {
		mkdir(t, filepath.Join(to, d), 0o755)
	}
	mkdir(t, filepath.Join(to, "tmp"), 0o1777)
	for _, f := range []string{"etc/passwd", "etc/group"} {
		if err := copyFile(filepath.Join(template, f), filepath.Join(to, f), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	linkOrCopy(t, filepath.Join(template, "bin/busybox"), filepath.Join(to, "bin/busybox"))
	for _, a := range applets {
		if err := os.Symlink("busybox", filepath.Join(to, "bin", a)); err != nil {
			t.Fatal(err)
		}
	}
}

func linkOrCopy(t testing.TB, from, to string) {
	t.Helper()
	if os.Link(from, to) == nil {
		return
	}
	if err := copyFile(from, to, 0o755); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t testing.TB, path string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	m := mode.Perm()
	if mode&0o1000 != 0 {
		m |= os.ModeSticky
	}
	if err := os.Chmod(path, m); err != nil {
		t.Fatal(err)
	}
}

func copyFile(from, to string, mode os.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("copy %s to %s: %w", from, to, err)
	}
	return os.Chmod(to, mode)
}
