// Package systemdtest is a double of systemd for tests on machines where it isn't the first
// process: it speaks real D-Bus, on a private socket or on a bus, makes the cgroups of units and
// moves processes into them. What it is made to do wrong, it does by [Double.Spoil].
package systemdtest

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"davit/cgroups/systemd/dbus"
)

const (
	name      = "org.freedesktop.systemd1"
	object    = "/org/freedesktop/systemd1"
	managerIf = name + ".Manager"
)

// Double is a manager of units.
type Double struct {
	hierarchies []string // mount points
	group       string

	mu    sync.Mutex
	units map[string]*unit
	spoil map[string]Fault
	calls []string
	jobs  int
	noise int
	close []func()

	journal io.Writer
	peers   map[*peer]bool // on the private socket
}

// peer is one that a conversation is held with.
type peer struct {
	mu sync.Mutex // of what is sent
	*dbus.Conn
}

func (p *peer) send(messages ...*dbus.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.Send(messages...)
}

// tell sends signals to all peers but one.
func (d *Double) tell(but *peer, signals []*dbus.Message) {
	d.mu.Lock()
	others := slices.Collect(maps.Keys(d.peers))
	d.mu.Unlock()
	for _, p := range others {
		if p != but {
			_ = p.send(signals...) // it may be gone
		}
	}
}

type unit struct {
	state      string // ActiveState
	group      string
	properties map[string]any
}

// Fault is what a method does instead of what it should.
type Fault struct {
	Hang     bool   // there is no answer, ever
	HangJob  bool   // the job that it begins never ends
	Drop     bool   // the connection is closed instead of an answer
	Error    string // the name of the error that it returns
	Result   string // of the job that it begins, instead of "done"
	OnlyOnce bool
}

// New returns a double that makes its units' cgroups below group in the hierarchies with these
// mount points; without any it only pretends to.
func New(hierarchies []string, group string) *Double {
	return &Double{hierarchies: hierarchies, group: group, units: map[string]*unit{}, spoil: map[string]Fault{}, peers: map[*peer]bool{}}
}

// Spoil lets a method, by its name, go wrong from now on.
func (d *Double) Spoil(member string, f Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.spoil[member] = f
}

// Calls lists the methods that were called since the last time.
func (d *Double) Calls() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := d.calls
	d.calls = nil
	return list
}

// Property returns what a unit was told last, nil for nothing.
func (d *Double) Property(unit, property string) any {
	d.mu.Lock()
	defer d.mu.Unlock()
	if u := d.units[unit]; u != nil {
		return u.properties[property]
	}
	return nil
}

// SetState makes a unit that is in the state.
func (d *Double) SetState(name, state string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.units[name] = &unit{state: state, properties: map[string]any{}}
}

// State returns a unit's state, "" if there is no such unit.
func (d *Double) State(name string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if u := d.units[name]; u != nil {
		return u.state
	}
	return ""
}

// Forget drops a unit that is there by SetState.
func (d *Double) Forget(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.units, name)
}

// Noise has n signals that nobody asked for come before each answer, as on a private socket.
func (d *Double) Noise(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.noise = n
}

// Close ends all conversations.
func (d *Double) Close() {
	d.mu.Lock()
	list := d.close
	d.close = nil
	d.mu.Unlock()
	for _, f := range list {
		f()
	}
}

func (d *Double) onClose(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.close = append(d.close, f)
}

const forever = 10 * time.Minute

// Listen serves the private socket at path.
func (d *Double) Listen(path string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return err
	}
	if err := unix.Listen(fd, 16); err != nil {
		return err
	}
	d.onClose(func() { _ = unix.Shutdown(fd, unix.SHUT_RDWR) })
	go func() {
		defer unix.Close(fd)
		for {
			peer, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				return
			}
			go d.servePrivate(dbus.Accept(peer, time.Now().Add(forever)))
		}
	}()
	return nil
}

// Join takes systemd's name on a bus.
func (d *Double) Join(address string) error {
	c, err := dbus.Dial(address, os.Geteuid(), time.Now().Add(forever))
	if err != nil {
		return err
	}
	const bus = "org.freedesktop.DBus"
	hello := &dbus.Message{Type: dbus.Call, Destination: bus, Path: "/org/freedesktop/DBus", Interface: bus, Member: "Hello"}
	request := &dbus.Message{Type: dbus.Call, Destination: bus, Path: "/org/freedesktop/DBus", Interface: bus, Member: "RequestName",
		Sig: "su", Body: []any{name, uint32(0)}}
	if err := c.Send(hello, request); err != nil {
		return err
	}
	for {
		m, err := c.Receive()
		if err != nil {
			return err
		}
		if m.Type == dbus.Error {
			return errors.New(m.String(0))
		}
		if m.ReplySerial == request.Serial {
			break
		}
	}
	go d.serve(&peer{Conn: c})
	return nil
}

// servePrivate serves a peer that hears of all jobs, as on systemd's private socket.
func (d *Double) servePrivate(c *dbus.Conn) {
	p := &peer{Conn: c}
	d.mu.Lock()
	d.peers[p] = true
	d.mu.Unlock()
	d.serve(p)
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.peers, p)
}

func (d *Double) serve(c *peer) {
	defer c.Close()
	for {
		m, err := c.Receive()
		if err != nil {
			return
		}
		if m.Type != dbus.Call {
			continue
		}
		answers := d.answer(m)
		for _, a := range answers {
			if a == nil {
				return
			}
			if a.Type != dbus.Signal {
				a.Destination, a.ReplySerial = m.Sender, m.Serial
			}
		}
		if len(answers) > 0 && c.send(answers...) != nil {
			return
		}
		if signals := slices.DeleteFunc(answers, func(a *dbus.Message) bool { return a.Type != dbus.Signal }); len(signals) > 0 {
			d.tell(c, signals)
		}
	}
}

// answer returns what is sent back; nil among it ends the conversation.
func (d *Double) answer(m *dbus.Message) []*dbus.Message {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, m.Member)
	fault := d.spoil[m.Member]
	if fault.OnlyOnce {
		delete(d.spoil, m.Member)
	}
	if fault.Drop {
		return []*dbus.Message{nil}
	}
	if fault.Hang {
		return nil
	}
	err := error(refusal(fault.Error))
	var sig string
	var body []any
	if fault.Error == "" {
		sig, body, err = d.do(m)
		d.record(m, err)
	}
	if err != nil {
		var r refusal
		if !errors.As(err, &r) {
			r = "org.freedesktop.DBus.Error.Failed"
		}
		return []*dbus.Message{{Type: dbus.Error, ErrorName: string(r), Sig: "s", Body: []any{err.Error()}}}
	}
	var answers []*dbus.Message
	for i := range d.noise {
		job := fmt.Sprintf("%s/job/%d", object, 1000000+i)
		answers = append(answers, &dbus.Message{Type: dbus.Signal, Path: object, Interface: managerIf, Member: "JobRemoved",
			Sig: "uoss", Body: []any{uint32(i), job, "other.service", "failed"}})
	}
	answers = append(answers, &dbus.Message{Type: dbus.Return, Sig: sig, Body: body})
	if sig == "o" && !fault.HangJob {
		result := "done"
		if fault.Result != "" {
			result = fault.Result
		}
		answers = append(answers, &dbus.Message{Type: dbus.Signal, Path: object, Interface: managerIf, Member: "JobRemoved",
			Sig: "uoss", Body: []any{uint32(d.jobs), body[0], m.String(0), result}})
	}
	return answers
}

// refusal is an error by its name on the bus.
type refusal string

func (r refusal) Error() string { return "refused: " + string(r) }

// do does what a method should, and returns its answer.
func (d *Double) do(m *dbus.Message) (sig string, body []any, err error) {
	switch m.Member {
	case "Ping":
		return "", nil, nil
	case "Get":
		return d.get(m)
	case "StartTransientUnit":
		return d.job(d.start(m.String(0), m.Body[2].([]any)))
	case "StopUnit":
		return d.job(d.stop(m.String(0)))
	case "ResetFailedUnit":
		u := d.units[m.String(0)]
		if u == nil {
			return "", nil, refusal(name + ".NoSuchUnit")
		}
		if u.state == "failed" {
			delete(d.units, m.String(0))
		}
		return "", nil, nil
	case "SetUnitProperties":
		u := d.units[m.String(0)]
		if u == nil {
			return "", nil, refusal(name + ".NoSuchUnit")
		}
		u.set(m.Body[2].([]any))
		return "", nil, d.apply(u)
	case "AttachProcessesToUnit":
		u := d.units[m.String(0)]
		if u == nil {
			return "", nil, refusal(name + ".NoSuchUnit")
		}
		return "", nil, d.attach(u.group+strings.TrimSuffix(m.String(1), "/"), m.Body[2].([]any))
	}
	return "", nil, refusal("org.freedesktop.DBus.Error.UnknownMethod")
}

func (d *Double) job(err error) (string, []any, error) {
	d.jobs++
	return "o", []any{fmt.Sprintf("%s/job/%d", object, d.jobs)}, err
}

func (d *Double) get(m *dbus.Message) (string, []any, error) {
	reply := func(s string) (string, []any, error) { return "v", []any{dbus.Variant{Sig: "s", Value: s}}, nil }
	if m.Path == object {
		switch m.String(1) {
		case "ControlGroup":
			return reply(d.group)
		case "Version":
			return reply("257.1-double")
		}
	}
	u := d.units[unitName(strings.TrimPrefix(m.Path, object+"/unit/"))]
	switch {
	case m.String(1) == "ActiveState" && u == nil:
		return reply("inactive")
	case m.String(1) == "ActiveState":
		return reply(u.state)
	case m.String(1) == "ControlGroup" && u == nil:
		return reply("")
	case m.String(1) == "ControlGroup":
		return reply(u.group)
	}
	return "", nil, refusal("org.freedesktop.DBus.Error.UnknownProperty")
}

// unitName undoes the _xx of an object path.
func unitName(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		var c byte
		if path[i] == '_' && i+2 < len(path) {
			if n, _ := fmt.Sscanf(path[i+1:i+3], "%02x", &c); n == 1 {
				b.WriteByte(c)
				i += 2
				continue
			}
		}
		b.WriteByte(path[i])
	}
	return b.String()
}
