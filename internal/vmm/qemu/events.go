package qemu

import (
	"encoding/json"

	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/qemu/qmp"
)

// Why QEMU shuts down, in QMP's words.
const (
	causePoweroff = "guest-shutdown"
	causeReset    = "guest-reset" // also a panic, and a triple fault
	causeSignal   = "host-signal"
)

// heard takes an event from QEMU; it never blocks.
func (m *machine) heard(e qmp.Event) {
	switch e.Name {
	case "SHUTDOWN":
		m.heardShutdown(e)
	case "BLOCK_IO_ERROR":
		m.heardIOError(e)
	case "STOP":
		m.mu.Lock()
		reason := m.pause
		m.mu.Unlock()
		if reason == "" {
			reason = vmm.PauseAsked
		}
		m.setPaused(reason)
	case "RESUME":
		m.mu.Lock()
		was := m.paused
		m.paused, m.pause = false, ""
		m.mu.Unlock()
		if was { // not when Start sets the guest going
			m.emit(vmm.Event{Type: vmm.EventResumed})
		}
	}
}

func (m *machine) heardShutdown(e qmp.Event) {
	var data struct {
		Reason string `json:"reason"`
	}
	if !m.decode(e, &data) {
		return
	}
	cause := data.Reason
	if cause == "guest-panic" {
		cause = causeReset
	}
	m.mu.Lock()
	m.shutdown = cause
	m.mu.Unlock()
	switch cause {
	case causePoweroff:
		m.emit(vmm.Event{Type: vmm.EventPoweroff})
	case causeReset:
		m.emit(vmm.Event{Type: vmm.EventReset})
	}
}

// heardIOError remembers why the STOP that follows will come.
func (m *machine) heardIOError(e qmp.Event) {
	var data struct {
		Action  string `json:"action"`
		NoSpace bool   `json:"nospace"`
		Reason  string `json:"reason"`
		Node    string `json:"node-name"`
	}
	if !m.decode(e, &data) || data.Action != "stop" {
		return
	}
	m.log.Warn("a drive's file failed; the guest is stopped", "name", m.name, "drive", data.Node, "reason", data.Reason)
	reason := vmm.PauseIOError
	if data.NoSpace {
		reason = vmm.PauseNoSpace
	}
	m.mu.Lock()
	m.pause = reason
	m.mu.Unlock()
}

// setPaused says once that the guest is paused.
func (m *machine) setPaused(reason string) {
	m.mu.Lock()
	was := m.paused || m.shutdown != ""
	m.paused = true
	m.mu.Unlock()
	if !was {
		m.emit(vmm.Event{Type: vmm.EventPaused, Reason: reason})
	}
}

func (m *machine) decode(e qmp.Event, into any) bool {
	err := json.Unmarshal(e.Data, into)
	if err != nil {
		m.log.Warn("an event of QEMU is not understood", "name", m.name, "event", e.Name, "err", err)
	}
	return err == nil
}

// emit drops the oldest event for a reader that does not keep up.
func (m *machine) emit(e vmm.Event) {
	for {
		select {
		case m.events <- e:
			return
		default:
		}
		select {
		case <-m.events:
		default:
		}
	}
}
