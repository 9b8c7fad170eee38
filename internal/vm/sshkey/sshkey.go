// Package sshkey makes SSH keys, once: the host key of each VM, and the key by
// which the daemon's user gets into all of them.
package sshkey

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
)

// The files of keys. A host key has its name in the VM's directory and in the
// guest.
const (
	Host   = "ssh_host_ed25519_key"
	Client = "id_ed25519"
)

// Ensure returns the private key that dir has under that name (mode 0600), made
// at the first call; of two first calls at once both get the same.
func Ensure(dir, name string) ([]byte, error) {
	path := filepath.Join(dir, name)
	key, err := os.ReadFile(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making an SSH key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return nil, fmt.Errorf("encoding an SSH key: %w", err)
	}
	tmp, err := os.CreateTemp(dir, "."+name+"-")
	if err != nil {
		return nil, fmt.Errorf("storing an SSH key: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(pem.EncodeToMemory(block))
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Link(tmp.Name(), path) // unlike a rename it replaces nothing
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("storing an SSH key: %w", err)
	}
	return os.ReadFile(path)
}

// Public is the public half of a private key, as a line of authorized_keys
// without comment or end.
func Public(private []byte) (string, error) {
	signer, err := ssh.ParsePrivateKey(private)
	if err != nil {
		return "", fmt.Errorf("reading an SSH key: %w", err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))), nil
}
