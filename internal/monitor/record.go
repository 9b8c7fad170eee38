package monitor

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/banger-vm/banger/internal/machine"
)

// Files of a VM's directory that are between daemon and monitor.
const (
	LaunchFile = "launch.json" // daemon → monitor: what to run
	statusFile = "status.json" // monitor → the next monitor: boot timings
	ExitFile   = "exit.json"   // monitor → daemon: how the boot ended
	lockFile   = "monitor.lock"
	SocketFile = "monitor.sock"
	LogFile    = "monitor.log"
)

// WriteFile writes v as JSON to name in dir, whole or not at all, mode 0600.
func WriteFile(dir, name string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %s: %w", name, err)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path+".tmp", data, 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// ReadFile reads what WriteFile wrote.
func ReadFile(dir, name string, v any) error {
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	return nil
}

// lock makes this the directory's only monitor until the process ends.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the monitor's lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("another monitor keeps this VM: %w", err)
	}
	return f, nil
}

// restore takes over what an earlier monitor of the same boot knew.
func restore(dir string, s *machine.Status) {
	var old machine.Status
	if err := ReadFile(dir, statusFile, &old); err != nil || old.BootID != s.BootID {
		return // nothing is known: timings stay 0
	}
	s.SpawnMS, s.ReadyMS, s.SystemMS, s.Reboots = old.SpawnMS, old.ReadyMS, old.SystemMS, old.Reboots
}
