package doctor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"davit/nsenter"
)

// try makes new namespaces, executes instructions in them, and ends what was
// made. With a user namespace among them the caller becomes its root. inside,
// if there is one, is called when all of it has worked, with the process in them.
func try(flags uint64, inside func(pid int) error, ops ...nsenter.Op) error {
	s, err := nsenter.Start([]uintptr{0, 1, 2})
	if err != nil {
		return err
	}
	pid := 0
	defer func() {
		s.Close()
		if pid > 0 {
			_ = unix.Kill(pid, unix.SIGKILL) // our child, not yet reaped: the pid is its own
			for {
				if _, err := unix.Wait4(pid, nil, 0, nil); err != unix.EINTR {
					break
				}
			}
		}
	}()
	if err := s.Send(program(flags, ops), nil); err != nil {
		return err
	}
	for {
		report, err := s.Receive()
		switch {
		case err == io.EOF:
			return errors.New("the process ended")
		case err != nil:
			return err
		}
		switch r := report.(type) {
		case nsenter.Cloned:
			pid = r.PID
			if flags&unix.CLONE_NEWUSER == 0 {
				continue
			}
			if err := mapSelf(pid); err != nil {
				return err
			}
			if err := s.Release(nsenter.TokenMapped); err != nil {
				return err
			}
		case nsenter.Waiting:
			if inside != nil {
				return inside(pid)
			}
			return nil
		}
	}
}

func program(flags uint64, ops []nsenter.Op) nsenter.Program {
	var p nsenter.Program
	add := func(op nsenter.Op) { p = append(p, nsenter.Instr{Op: op}) }
	user := flags&unix.CLONE_NEWUSER != 0
	if user {
		add(nsenter.Dumpable{Value: 1}) // for the writing of its maps
	}
	add(nsenter.Clone{Flags: flags, Cgroup: nsenter.None})
	if user {
		add(nsenter.Wait{Token: uint64(nsenter.TokenMapped)})
		add(nsenter.BecomeRoot{})
	}
	if flags&unix.CLONE_NEWNS != 0 {
		add(nsenter.Propagation{Path: "/", Flags: unix.MS_PRIVATE | unix.MS_REC})
	}
	for _, op := range ops {
		add(op)
	}
	add(nsenter.Sync{Token: uint64(nsenter.TokenStart)})
	return p
}

// mapSelf maps root of a user namespace to the caller (user_namespaces(7)).
func mapSelf(pid int) error {
	proc := "/proc/" + strconv.Itoa(pid)
	if err := os.WriteFile(proc+"/setgroups", []byte("deny"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.WriteFile(proc+"/gid_map", fmt.Appendf(nil, "0 %d 1", unix.Getegid()), 0); err != nil {
		return err
	}
	return os.WriteFile(proc+"/uid_map", fmt.Appendf(nil, "0 %d 1", unix.Geteuid()), 0)
}
