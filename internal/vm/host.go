package vm

import "github.com/banger-vm/banger/internal/machine"

// outlived reports whether the host was restarted since a boot began, or is
// another one: nothing of that boot can be running here, and nobody need be
// asked.
func (m *Manager) outlived(b Boot) bool {
	return b.Host.Boot != "" && m.cfg.Host.Boot != "" && b.Host.Boot != m.cfg.Host.Boot
}

// explain says why a machine is not there that nobody has seen end.
func (m *Manager) explain(id string, b Boot, exit machine.Exit) machine.Exit {
	if exit.Reason != machine.ExitCrashed {
		return exit
	}
	was, here := b.Host, m.cfg.Host
	switch {
	case m.outlived(b) && was.Machine != "" && here.Machine != "" && was.Machine != here.Machine:
		exit.Reason, exit.Detail = machine.ExitMoved, "that was on another host"
	case m.outlived(b):
		exit.Reason, exit.Detail = machine.ExitHostRestarted, ""
	case b.Dir != "" && b.Dir != m.dir(id):
		exit.Reason, exit.Detail = machine.ExitMoved, "that was in "+b.Dir
	}
	return exit
}
