package qemu

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
)

// record is vmm.json: what the starter knows and nobody can ask QEMU for.
type record struct {
	Process hostexec.ID `json:"process"`
	Accel   vmm.Accel   `json:"accel"`
	Started time.Time   `json:"started"`
}

// writeRecord puts r into dir, whole or not at all.
func writeRecord(dir string, r record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding the VMM's record: %w", err)
	}
	path := filepath.Join(dir, fileRecord)
	if err := os.WriteFile(path+".new", append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing the VMM's record: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("writing the VMM's record: %w", err)
	}
	return nil
}

// readRecord reads what writeRecord wrote; fs.ErrNotExist if it never did.
func readRecord(dir string) (record, error) {
	var r record
	b, err := readEnd(filepath.Join(dir, fileRecord), 4096)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("the VMM's record is damaged: %w", err)
	}
	return r, nil
}

// readEnd reads the last limit bytes of a file.
func readEnd(path string, limit int64) ([]byte, error) {
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
