package rundir

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/hostexec"
)

// The files in a VM's directory that every driver has.
const (
	LockFile   = "vmm.lock"
	RecordFile = "vmm.json" // what the starter knows and nobody can ask the VMM for
	LogFile    = "vmm.log"
)

// maxRecord bounds what ReadRecord believes.
const maxRecord = 64 << 10

// WriteRecord puts r into dir as JSON, whole or not at all.
func WriteRecord(dir string, r any) error {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding the VMM's record: %w", err)
	}
	path := filepath.Join(dir, RecordFile)
	if err := os.WriteFile(path+".new", append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing the VMM's record: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("writing the VMM's record: %w", err)
	}
	return nil
}

// ReadRecord reads what WriteRecord wrote; fs.ErrNotExist if it never did.
func ReadRecord(dir string, r any) error {
	b, err := ReadEnd(filepath.Join(dir, RecordFile), maxRecord)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, r); err != nil {
		return fmt.Errorf("the VMM's record is damaged: %w", err)
	}
	return nil
}

// ReadEnd reads the last limit bytes of a file.
func ReadEnd(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(max(0, size-limit), io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, limit))
}

// LastWords is the last line in the log of dir's VMM, "" if there is none.
func LastWords(dir string) string {
	b, err := ReadEnd(filepath.Join(dir, LogFile), 4096)
	if err != nil {
		return "" // the directory may be gone with its VM
	}
	return hostexec.LastLine(b)
}

// StartedAt is when the process began, for a record that was never written.
func StartedAt(id hostexec.ID) (time.Time, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return time.Time{}, fmt.Errorf("reading the boot clock: %w", err)
	}
	const tick = time.Second / 100 // USER_HZ, fixed on Linux
	return time.Now().Add(time.Duration(id.StartTime)*tick - time.Duration(now.Nano())), nil
}
