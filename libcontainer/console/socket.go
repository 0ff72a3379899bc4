package console

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	maxSunPath = 107  // bytes of a socket's path, sun_path less its NUL (unix(7))
	maxPayload = 4096 // receivers read names into a buffer of that size
	sendWait   = 10   // seconds until a receiver that does not accept is given up
	procSelfFD = "/proc/self/fd/"
)

// SendMaster gives the master of a container's pty to the program that listens
// on the AF_UNIX stream socket at socketPath, the console socket: one message,
// whose payload is the master's name, with the descriptor attached (SCM_RIGHTS,
// unix(7)). The caller goes on to close its own.
func SendMaster(socketPath string, master *os.File) error {
	if err := SendFile(socketPath, master.Name(), master); err != nil {
		return fmt.Errorf("console socket %s: %w", socketPath, err)
	}
	return nil
}

// SendFile sends a file with a payload of 1 to 4095 bytes to a listening socket,
// as SendMaster does.
func SendFile(socketPath, payload string, f *os.File) error {
	if payload == "" || len(payload) >= maxPayload {
		return fmt.Errorf("the name to send with the descriptor has %d bytes, want 1 to %d", len(payload), maxPayload-1)
	}
	sock, err := connect(socketPath)
	if err != nil {
		return err
	}
	defer unix.Close(sock)
	return control(f, func(fd int) error {
		n, err := unix.SendmsgN(sock, []byte(payload), unix.UnixRights(fd), nil, unix.MSG_NOSIGNAL)
		switch {
		case err == unix.EINTR:
			return err // control starts over
		case err != nil:
			return fmt.Errorf("sendmsg: %w", err)
		case n != len(payload):
			return errors.New("sendmsg: the receiver took a part of the message")
		}
		return nil
	})
}

// connect returns a descriptor of a stream socket connected to path.
func connect(path string) (int, error) {
	sock, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	err = connectTo(sock, path)
	if err == unix.EAGAIN {
		err = fmt.Errorf("nobody accepted for %d s: %w", sendWait, err)
	}
	if err != nil {
		unix.Close(sock)
		return -1, fmt.Errorf("connect: %w", err)
	}
	return sock, nil
}

func connectTo(sock int, path string) error {
	if len(path) > maxSunPath && path[0] != '@' { // '@' stands for the abstract namespace
		// The magic link leads to the socket by a short path.
		fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		path = procSelfFD + strconv.Itoa(fd)
	}
	if err := unix.SetsockoptTimeval(sock, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: sendWait}); err != nil {
		return err
	}
	for {
		err := unix.Connect(sock, &unix.SockaddrUnix{Name: path})
		if err != unix.EINTR {
			return err
		}
	}
}
