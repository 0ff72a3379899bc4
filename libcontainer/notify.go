package libcontainer

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/libcontainer/notify"
	"davit/libcontainer/process"
)

// notifyDir is the folder of the container's notify socket, in its state directory.
const notifyDir = "notify"

// offerNotify gives the container a notify socket of its own, where the caller was started with one.
func (b *boot) offerNotify() error {
	if b.opts.NotifySocket == "" || b.spec.Process == nil {
		return nil
	}
	dir := filepath.Join(b.dir.Path(), notifyDir)
	if err := notify.MakeDir(dir); err != nil {
		return err
	}
	b.spec.Mounts = append(b.spec.Mounts, specs.Mount{Destination: notify.Dir, Source: dir, Options: []string{"bind", "nosuid", "noexec", "nodev", "ro"}})
	b.spec.Process.Env = append(b.spec.Process.Env, "NOTIFY_SOCKET="+notify.Socket)
	return nil
}

// listenNotify listens on the container's notify socket; nil where it has none.
func listenNotify(stateDir, host string) (*notify.Proxy, error) {
	dir := filepath.Join(stateDir, notifyDir)
	if host == "" {
		return nil, nil
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, nil // created without
	}
	return notify.Listen(dir, host)
}

// waitReady waits until a container reports that it is ready, or has ended.
func waitReady(p *notify.Proxy, init process.ID) error {
	if p == nil {
		return nil
	}
	pidfd, err := init.Open()
	if errors.Is(err, process.ErrGone) {
		_, err = p.Relay(init.PID) // its last words
		return err
	}
	if err != nil {
		return err
	}
	defer unix.Close(pidfd)
	return p.Wait(init.PID, pidfd)
}
