package libcontainer

import (
	"errors"

	"davit/libcontainer/console"
)

// checkTerminal refuses combinations in which nobody would hold the terminal.
func (b *boot) checkTerminal() error {
	p := b.bundle.Spec.Process
	terminal := p != nil && p.Terminal
	switch {
	case b.opts.ConsoleSocket != "" && !(b.detach && terminal):
		return errors.New("cannot use console socket if davit will not detach or allocate tty")
	case b.opts.ConsoleSocket == "" && b.detach && terminal:
		return errors.New("cannot allocate tty if davit will detach without setting console socket")
	}
	return nil
}

// connectTerminal gives the master of the container's terminal to the console
// socket or, in the foreground, connects it with the caller's terminal.
func (b *boot) connectTerminal() error {
	if b.master == nil {
		return nil
	}
	if err := console.ClearONLCR(b.master); err != nil {
		return err
	}
	if b.detach {
		defer b.closeTerminal()
		return console.SendMaster(b.opts.ConsoleSocket, b.master)
	}
	own, err := console.Current()
	if err != nil {
		return errors.New("process.terminal: true needs a terminal to be run in the foreground: run it from one, or with --detach and --console-socket")
	}
	b.relay, err = console.NewRelay(b.master, console.RelayOptions{Console: own})
	return err
}

// closeTerminal ends the relay at once; after a Finish it only closes.
func (b *boot) closeTerminal() {
	if b.relay != nil {
		_ = b.relay.Close()
		b.relay = nil
	}
	if b.master != nil {
		b.master.Close()
		b.master = nil
	}
}
