// Package systemd has a systemd manager run a container's processes as one of its units, which
// is what `davit --systemd-cgroup` asks for: the names that units have, what resource limits
// are called there, and the few calls that it takes. It knows nothing of containers; package
// cgroups makes both ends meet.
//
// # Which manager
//
// The system's, or without privilege the user's. Either is talked to directly, by its private
// socket, where that lets us in; a message bus in between is the second choice. One connection
// serves a command, and commands that needn't ask systemd open none.
//
// # Time
//
// A manager that hangs must not hang its callers (opencontainers/runc#4853, #3904): each
// operation, with the job that it starts, has a deadline, and a manager that has missed it once
// isn't asked again by the same [Client].
//
// Processes are named by pid, not by pidfd (PIDFDs=, systemd 254): a container's process is our
// own child, and its pid is not another's until we have reaped it.
package systemd

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"davit/cgroups/systemd/dbus"
)

// Timeout is how long an operation may take. sd-bus's own default is 25 s for a call; a
// manager that starts a scope needs milliseconds.
const Timeout = 30 * time.Second

// Client is a connection to a manager, made by the first operation that needs it. Its methods
// are not safe for concurrent use.
type Client struct {
	user      bool
	addresses []string
	uid       int
	timeout   time.Duration

	conn    *dbus.Conn
	direct  bool  // to the manager itself, no bus in between
	failed  error // it is of no use any more
	setup   []uint32
	removed []job
	known   bool
	group   string
	version int
}

// job is one that the manager has told the end of.
type job struct{ path, result string }

// New returns a client of the system's manager, or of the caller's user manager. It does no
// I/O other than to find out who the caller is.
func New(user bool) *Client {
	c := &Client{user: user, timeout: Timeout, uid: unix.Geteuid()}
	if user {
		c.uid = hostUID(c.uid)
	}
	c.addresses = addresses(user, c.uid, os.Getenv)
	return c
}

// NewAt returns a client of the manager at the addresses, of which the first that accepts is
// taken. An operation may take as long as timeout.
func NewAt(addresses []string, user bool, timeout time.Duration) *Client {
	return &Client{user: user, addresses: addresses, uid: unix.Geteuid(), timeout: timeout}
}

// Offline returns a client that knows a manager's place without asking: that of the system's.
// It is for those who only want to know where a unit would be.
func Offline() *Client {
	return &Client{known: true, failed: errors.New("systemd is not to be asked")}
}

// User tells whether the manager is a user's.
func (c *Client) User() bool { return c.user }

// addresses lists where a manager may be found, the best first.
func addresses(user bool, uid int, env func(string) string) []string {
	if !user {
		list := []string{"unix:path=/run/systemd/private"}
		if a := env("DBUS_SYSTEM_BUS_ADDRESS"); a != "" {
			return append(list, a)
		}
		return append(list, "unix:path=/run/dbus/system_bus_socket")
	}
	runtime := env("XDG_RUNTIME_DIR")
	if runtime == "" {
		runtime = fmt.Sprintf("/run/user/%d", uid)
	}
	list := []string{"unix:path=" + runtime + "/systemd/private"}
	if a := env("DBUS_SESSION_BUS_ADDRESS"); a != "" {
		list = append(list, a)
	}
	return append(list, "unix:path="+runtime+"/bus")
}

// hostUID translates uid to the parent user namespace's number, as which a user manager out
// there sees the caller. A rootless engine's children are uid 0 of a namespace of its own.
func hostUID(uid int) int {
	table, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return uid
	}
	return translate(string(table), uid)
}

func translate(table string, uid int) int {
	for line := range strings.Lines(table) {
		var inside, outside, count int
		if n, _ := fmt.Sscan(line, &inside, &outside, &count); n == 3 && uid >= inside && uid-inside < count {
			return outside + (uid - inside)
		}
	}
	return uid
}

// Close closes the connection, if there is one.
func (c *Client) Close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

const (
	busName    = "org.freedesktop.systemd1"
	objectPath = "/org/freedesktop/systemd1"
	managerIf  = busName + ".Manager"
	unitIf     = busName + ".Unit"
	daemon     = "org.freedesktop.DBus"
)

// ControlGroup returns the cgroup that the manager's units are below: "" for the system's on a
// host, something like /user.slice/user-1000.slice/user@1000.service for a user's.
func (c *Client) ControlGroup() (string, error) {
	err := c.identify()
	return c.group, err
}

// Version returns the manager's version, 0 for none that is a number.
func (c *Client) Version() (int, error) {
	err := c.identify()
	return c.version, err
}

func (c *Client) identify() error {
	if c.known {
		return nil
	}
	group := c.get(objectPath, managerIf, "ControlGroup")
	version := c.get(objectPath, managerIf, "Version")
	replies, err := c.call(group, version)
	if err != nil {
		return err
	}
	c.group = strings.TrimSuffix(replies[0].String(0), "/")
	c.version = leadingNumber(replies[1].String(0))
	c.known = true
	return nil
}

// leadingNumber reads "257.13-1~deb13u1", "v245.4" or "systemd 219".
func leadingNumber(s string) int {
	n := 0
	i := strings.IndexAny(s, "0123456789")
	for ; i >= 0 && i < len(s) && '0' <= s[i] && s[i] <= '9' && n < 1e6; i++ {
		n = 10*n + int(s[i]-'0')
	}
	return n
}

func (c *Client) get(object, iface, property string) *dbus.Message {
	return &dbus.Message{Path: object, Interface: "org.freedesktop.DBus.Properties", Member: "Get", Sig: "ss", Body: []any{iface, property}}
}

func manager(member, sig string, body ...any) *dbus.Message {
	return &dbus.Message{Path: objectPath, Interface: managerIf, Member: member, Sig: sig, Body: body}
}

// connect begins an operation: it sets its deadline and opens the connection, if it isn't.
func (c *Client) connect() error {
	if c.failed != nil {
		return c.failed
	}
	deadline := time.Now().Add(c.timeout)
	if c.conn != nil {
		c.conn.SetDeadline(deadline)
		return nil
	}
	var failures []string
	for i, a := range c.addresses {
		conn, err := dbus.Dial(a, c.uid, deadline)
		if err == nil {
			c.conn, c.direct = conn, i == 0 && strings.HasSuffix(a, "/systemd/private")
			return nil
		}
		failures = append(failures, err.Error())
	}
	c.failed = &ConnectError{User: c.user, Failures: failures}
	return c.failed
}

// call has methods called, all at once, and returns their answers in the same order.
func (c *Client) call(calls ...*dbus.Message) ([]*dbus.Message, error) {
	if err := c.send(calls...); err != nil {
		return nil, err
	}
	replies := make([]*dbus.Message, len(calls))
	for i, m := range calls {
		reply, err := c.await(m)
		if err != nil {
			return nil, err
		}
		replies[i] = reply
	}
	return replies, nil
}

func (c *Client) send(calls ...*dbus.Message) error {
	fresh := c.conn == nil
	if err := c.connect(); err != nil {
		return err
	}
	for _, m := range calls {
		m.Type = dbus.Call
		if !c.direct {
			m.Destination = busName
		}
	}
	all := calls
	if fresh && !c.direct {
		hello := &dbus.Message{Type: dbus.Call, Destination: daemon, Path: "/org/freedesktop/DBus", Interface: daemon, Member: "Hello"}
		match := &dbus.Message{Type: dbus.Call, Destination: daemon, Path: "/org/freedesktop/DBus", Interface: daemon, Member: "AddMatch", Sig: "s",
			Body: []any{"type='signal',sender='" + busName + "',interface='" + managerIf + "',member='JobRemoved'"}}
		all = append([]*dbus.Message{hello, match}, calls...)
	}
	if err := c.conn.Send(all...); err != nil {
		return c.fail(calls[0].Member, err)
	}
	for _, m := range all[:len(all)-len(calls)] {
		c.setup = append(c.setup, m.Serial)
	}
	return nil
}

// await returns the answer to a call; the ends of jobs that come in before it are kept.
func (c *Client) await(call *dbus.Message) (*dbus.Message, error) {
	for {
		m, err := c.conn.Receive()
		if err != nil {
			return nil, c.fail(call.Member, err)
		}
		if m.Type == dbus.Signal {
			c.signal(m)
			continue
		}
		if m.Type == dbus.Error && (m.ReplySerial == call.Serial || c.isSetup(m.ReplySerial)) {
			return nil, &CallError{Method: call.Member, Name: m.ErrorName, Message: m.String(0)}
		}
		if m.Type == dbus.Return && m.ReplySerial == call.Serial {
			return m, nil
		}
	}
}

func (c *Client) isSetup(serial uint32) bool {
	for _, s := range c.setup {
		if s == serial {
			return true
		}
	}
	return false
}

func (c *Client) signal(m *dbus.Message) {
	if m.Interface == managerIf && m.Member == "JobRemoved" && m.Sig == "uoss" {
		c.removed = append(c.removed, job{path: m.String(1), result: m.String(3)})
	}
}

// awaitJob waits for the end of a job that a call of method has returned.
func (c *Client) awaitJob(method, unit, path string) error {
	for {
		for _, j := range c.removed {
			if j.path != path {
				continue
			}
			if j.result == "done" || j.result == "skipped" {
				return nil
			}
			return &JobError{Method: method, Unit: unit, Result: j.result}
		}
		m, err := c.conn.Receive()
		if err != nil {
			return c.fail("the job of "+method, err)
		}
		if m.Type == dbus.Signal {
			c.signal(m)
		}
	}
}

// fail ends the client's life with the reason.
func (c *Client) fail(what string, err error) error {
	address := c.conn.Address()
	c.Close()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.failed = &TimeoutError{What: what, Address: address, After: c.timeout}
	} else {
		c.failed = fmt.Errorf("talk to systemd (%s) at %s: %w", what, address, err)
	}
	return c.failed
}
