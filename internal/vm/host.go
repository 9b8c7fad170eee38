package vm

import "github.com/banger-vm/banger/internal/machine"

// outlived reports whether the host was restarted since a boot began, or is
// another one: nothing of that boot can be running here, and nobody need be
// asked.
func (m *Manager) outlived(b Boot) bool {
	return b.Host.Boot != "" && m.cfg.Host.Boot != "" && b.Host.Boot != m.cfg.Host.Boot
}

// explain says why a machine is not there that nobody has seen end.
func (m *Manager) explain(b Boot, exit machine.Exit) machine.Exit {
	if exit.Reason != machine.ExitCrashed || !m.outlived(b) {
		return exit
	}
	exit.Reason, exit.Detail = machine.ExitHostRestarted, ""
	was, here := b.Host.Machine, m.cfg.Host.Machine
	if was != "" && here != "" && was != here {
		exit.Reason, exit.Detail = machine.ExitMoved, "that was on another host"
	}
	return exit
}
