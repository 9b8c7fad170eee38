package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/fakeproc"
)

// pause stops all processes of the guest.
func (m *machine) pause() error {
	if err := m.faults.at(stepPause); err != nil {
		return err
	}
	m.mu.Lock()
	if m.state != fakeproc.StateRunning {
		m.mu.Unlock()
		return nil
	}
	m.state, m.reason = fakeproc.StatePaused, vmm.PauseAsked
	guest := m.guest.PID
	m.mu.Unlock()
	if err := signalAll(guest, syscall.SIGSTOP); err != nil {
		return err
	}
	m.control.tell(fakeproc.Message{Event: vmm.EventPaused, Reason: vmm.PauseAsked})
	return nil
}

// resume lets them go on.
func (m *machine) resume() error {
	if err := m.faults.at(stepResume); err != nil {
		return err
	}
	m.mu.Lock()
	if m.state != fakeproc.StatePaused {
		m.mu.Unlock()
		return nil
	}
	m.state, m.reason = fakeproc.StateRunning, ""
	guest := m.guest.PID
	m.mu.Unlock()
	if err := signalAll(guest, syscall.SIGCONT); err != nil {
		return err
	}
	m.control.tell(fakeproc.Message{Event: vmm.EventResumed})
	return nil
}

// signalAll signals all processes in the PID namespace of first, those too that
// they make meanwhile.
func signalAll(first int, sig syscall.Signal) error {
	space, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", first))
	if err != nil {
		return fmt.Errorf("looking for the guest's processes: %w", err)
	}
	signalled := map[int]bool{}
	for found := true; found; {
		found = false
		all, err := filepath.Glob("/proc/[0-9]*/ns/pid")
		if err != nil {
			return err
		}
		for _, path := range all {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
			if err != nil || signalled[pid] {
				continue
			}
			if of, err := os.Readlink(path); err != nil || of != space { // it has ended, or is another's
				continue
			}
			_ = syscall.Kill(pid, sig) // it may just have ended
			signalled[pid], found = true, true
		}
	}
	return nil
}
