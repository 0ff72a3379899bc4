// Command inside runs in containers and does what busybox can't: it writes
// bytes that can be checked, asks for key ids, talks to a notify socket.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) < 2 {
		fatal("a command is missing")
	}
	args := os.Args[2:]
	switch os.Args[1] {
	case "keyring":
		keyring()
	case "flood":
		flood(args)
	case "notify":
		notify(args)
	case "attributes":
		attributes()
	case "winsize":
		winsize()
	default:
		fatal("unknown command " + os.Args[1])
	}
}

func fatal(text string) {
	fmt.Fprintln(os.Stderr, "inside:", text)
	os.Exit(2)
}

// keyring prints the id of the session keyring.
func keyring() {
	id, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false)
	if err != nil {
		fatal(err.Error())
	}
	text, err := unix.KeyctlString(unix.KEYCTL_DESCRIBE, id)
	if err != nil {
		fatal(err.Error())
	}
	fmt.Println(id, text[strings.LastIndex(text, ";")+1:])
}

// flood writes so many bytes of a sequence in which a lost, doubled or changed
// byte shows, and exits with 3: the end must not be lost either.
func flood(args []string) {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		fatal(err.Error())
	}
	w := bufio.NewWriterSize(os.Stdout, 1<<16)
	x := uint32(1)
	for range n {
		x = x*1664525 + 1013904223
		w.WriteByte(byte(x >> 24))
	}
	if err := w.Flush(); err != nil {
		fatal(err.Error())
	}
	os.Exit(3)
}

// notify sends each argument as a message to $NOTIFY_SOCKET, pausing for those that are a duration, and then sleeps.
func notify(args []string) {
	sock, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		fatal(err.Error())
	}
	to := &unix.SockaddrUnix{Name: os.Getenv("NOTIFY_SOCKET")}
	for _, a := range args {
		if d, err := time.ParseDuration(a); err == nil {
			time.Sleep(d)
			continue
		}
		if err := unix.Sendto(sock, []byte(a), 0, to); err != nil {
			fatal("send to " + to.Name + ": " + err.Error())
		}
	}
	time.Sleep(time.Hour)
}

// attributes prints what a process inherits and /proc doesn't show.
func attributes() {
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		fatal("sched_getattr: " + err.Error())
	}
	fmt.Printf("policy=%d nice=%d priority=%d flags=%#x runtime=%d deadline=%d period=%d\n",
		attr.Policy, attr.Nice, attr.Priority, attr.Flags, attr.Runtime, attr.Deadline, attr.Period)
	prio, _, _ := unix.Syscall(unix.SYS_IOPRIO_GET, 1 /* IOPRIO_WHO_PROCESS */, 0, 0)
	fmt.Printf("ioprio=%d/%d\n", prio>>13, prio&0x1fff)
	persona, _, _ := unix.Syscall(unix.SYS_PERSONALITY, 0xffffffff, 0, 0)
	fmt.Printf("personality=%#x\n", persona)
	var mode int32
	var nodes [16]uint64
	_, _, errno := unix.Syscall6(unix.SYS_GET_MEMPOLICY, uintptr(unsafe.Pointer(&mode)), uintptr(unsafe.Pointer(&nodes)), 1024, 0, 0, 0)
	fmt.Printf("mempolicy=%#x nodes=%#x errno=%d\n", mode, nodes[0], errno)
}

// winsize prints the terminal's size at once and whenever it changes.
func winsize() {
	last := ""
	for {
		ws, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ)
		if err != nil {
			fatal(err.Error())
		}
		if now := fmt.Sprintf("%d rows %d columns\n", ws.Row, ws.Col); now != last {
			fmt.Print(now)
			last = now
		}
		time.Sleep(5 * time.Millisecond)
	}
}
