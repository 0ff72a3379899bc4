package libcontainer

import (
	"errors"

	"davit/libcontainer/console"
	"davit/nsenter"
)

// checkTerminal refuses combinations in which nobody would hold the terminal.
func (l *launch) checkTerminal() error {
	p := l.spec.Process
	terminal := p != nil && p.Terminal
	switch {
	case l.opts.ConsoleSocket != "" && !(l.detach && terminal):
		return errors.New("cannot use console socket if davit will not detach or allocate tty")
	case l.opts.ConsoleSocket == "" && l.detach && terminal:
		return errors.New("cannot allocate tty if davit will detach without setting console socket")
	}
	return nil
}

// connectTerminal gives the master of the container's terminal to the console
// socket or, in the foreground, connects it with the caller's terminal.
func (l *launch) connectTerminal() error {
	if l.master == nil {
		return nil
	}
	if l.detach {
		// As the kernel makes it: who shows the output expects carriage returns in it, on a raw terminal.
		defer l.closeTerminal()
		return console.SendMaster(l.opts.ConsoleSocket, l.master)
	}
	if err := console.ClearONLCR(l.master); err != nil {
		return err
	}
	own, err := console.Current()
	if err != nil {
		return errors.New("process.terminal: true needs a terminal to be run in the foreground: run it from one, or with --detach and --console-socket")
	}
	nsenter.Concurrent()
	l.relay, err = console.NewRelay(l.master, console.RelayOptions{Console: own})
	return err
}

// closeTerminal ends the relay at once; after a Finish it only closes.
func (l *launch) closeTerminal() {
	if l.relay != nil {
		_ = l.relay.Close()
		l.relay = nil
	}
	if l.master != nil {
		l.master.Close()
		l.master = nil
	}
}
