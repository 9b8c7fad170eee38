package monitor

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/jsonfile"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/monitor/control"
)

// statusFile is the monitor's own: boot timings, for the next one.
const statusFile = "status.json"

// lockPatience is the time that the last boot's monitor has for its end.
const lockPatience = 3 * time.Second

// lock makes this the directory's only monitor until the process ends.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, control.LockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the monitor's lock: %w", err)
	}
	for start := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if time.Since(start) > lockPatience {
			f.Close()
			return nil, fmt.Errorf("another monitor keeps this VM: %w", err)
		}
	}
}

// sign says which processes keep the VM, for a daemon that gets no answer or
// wants none; vmm is zero while none is known to run. The caller holds the lock.
func sign(dir string, vmm hostexec.ID) error {
	id, err := hostexec.Identify(os.Getpid())
	if err != nil {
		return err
	}
	return jsonfile.WriteStatus(dir, control.MonitorFile, control.Signature{ID: id, VMM: vmm})
}

// keepStatus writes down what the next monitor must know.
func (m *Monitor) keepStatus(s machine.Status) {
	if err := jsonfile.WriteStatus(m.launch.Spec.Dir, statusFile, s); err != nil {
		m.log.Warn("keeping the boot's timings failed", "err", err)
	}
}

// restore takes over what an earlier monitor of the same boot knew.
func restore(dir string, s *machine.Status) {
	var old machine.Status
	if err := jsonfile.Read(dir, statusFile, &old); err != nil {
		return
	}
	s.Version = old.Version // a clock that was set back must not hide what follows
	if old.BootID != s.BootID {
		return // nothing is known: timings stay 0
	}
	s.SpawnMS, s.ReadyMS, s.SystemMS, s.Reboots = old.SpawnMS, old.ReadyMS, old.SystemMS, old.Reboots
	s.Guest = old.Guest
}
