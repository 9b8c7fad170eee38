package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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
	guest := m.guest.PID
	m.mu.Unlock()
	if err := signalAll(guest, syscall.SIGSTOP); err != nil {
		return err
	}
	m.mu.Lock()
	m.state, m.reason = fakeproc.StatePaused, vmm.PauseAsked
	m.mu.Unlock()
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

// signalAll signals a guest's first process and all that come from it, those too
// that they make meanwhile. Whose PID namespace they are in is not for a confined
// process to see; who their parents are is.
func signalAll(first int, sig syscall.Signal) error {
	if err := syscall.Kill(first, sig); err != nil {
		return fmt.Errorf("signalling the guest: %w", err)
	}
	signalled := map[int]bool{first: true}
	for found := true; found; {
		found = false
		all, err := filepath.Glob("/proc/[0-9]*/stat")
		if err != nil {
			return err
		}
		for _, path := range all {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err != nil || signalled[pid] || !signalled[parent(path)] {
				continue
			}
			_ = syscall.Kill(pid, sig) // it may just have ended
			signalled[pid], found = true, true
		}
	}
	return nil
}

// parent reads the parent of a process; 0 where it has ended.
func parent(stat string) int {
	text, err := os.ReadFile(stat)
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text[bytes.LastIndexByte(text, ')')+1:]), " ")
	fields := strings.Fields(rest) // state, parent, …
	if len(fields) < 2 {
		return 0
	}
	pid, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0
	}
	return pid
}
