// Package hostkey makes the SSH host key of a VM, once.
package hostkey

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"
)

// Name is the key's file in the VM's directory, and its name in the guest.
const Name = "ssh_host_ed25519_key"

// Ensure returns the key that is kept in dir (mode 0600), made at the first call.
func Ensure(dir string) ([]byte, error) {
	path := filepath.Join(dir, Name)
	key, err := os.ReadFile(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the guest's SSH host key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return nil, fmt.Errorf("encoding the guest's SSH host key: %w", err)
	}
	key = pem.EncodeToMemory(block)
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, key, 0o600); err != nil {
		return nil, fmt.Errorf("storing the guest's SSH host key: %w", err)
	}
	return key, os.Rename(tmp, path)
}
