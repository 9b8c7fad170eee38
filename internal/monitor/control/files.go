package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile writes v as JSON to name in dir, whole or not at all, mode 0600,
// and to stay over a loss of power.
func WriteFile(dir, name string, v any) error { return write(dir, name, v, true) }

// WriteStatus is WriteFile for what a loss of power makes worthless anyway.
func WriteStatus(dir, name string, v any) error { return write(dir, name, v, false) }

func write(dir, name string, v any, durable bool) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %s: %w", name, err)
	}
	path := filepath.Join(dir, name)
	err = os.WriteFile(path+".tmp", data, 0o600)
	if err == nil && durable {
		err = toDisk(path + ".tmp")
	}
	if err == nil {
		err = os.Rename(path+".tmp", path)
	}
	if err == nil && durable {
		err = toDisk(dir)
	}
	if err != nil {
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

// removeAll removes files of dir; missing ones are no error.
func removeAll(dir string, names ...string) error {
	for _, name := range names {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing a file of the last boot: %w", err)
		}
	}
	return nil
}
