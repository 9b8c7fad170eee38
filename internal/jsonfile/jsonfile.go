// Package jsonfile keeps values in files as JSON: written whole or not at all,
// for this user alone, and read in bounds.
package jsonfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// MaxBytes is more than any value takes that is kept.
const MaxBytes = 2 << 20

// Write writes v to name in dir, mode 0600, and to stay over a loss of power.
func Write(dir, name string, v any) error { return write(dir, name, v, true) }

// WriteStatus is Write for what a loss of power makes worthless anyway.
func WriteStatus(dir, name string, v any) error { return write(dir, name, v, false) }

func write(dir, name string, v any, durable bool) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %s: %w", name, err)
	}
	path, tmp := filepath.Join(dir, name), filepath.Join(dir, "."+name+".tmp")
	err = os.WriteFile(tmp, data, 0o600)
	if err == nil && durable {
		err = toDisk(tmp)
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err == nil && durable {
		err = toDisk(dir)
	}
	if err != nil {
		_ = os.Remove(tmp) // the error is what counts
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// toDisk brings a file or directory to the disk.
func toDisk(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Read reads what Write wrote; fs.ErrNotExist where that is nothing.
func Read(dir, name string, v any) error {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err == nil && len(data) > MaxBytes {
		err = fmt.Errorf("it is larger than %d KiB", MaxBytes>>10)
	}
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	return nil
}
