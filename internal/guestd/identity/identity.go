// Package identity makes a guest this VM and no other: its name, machine ID,
// SSH host keys, clock and entropy. Images hold none of them. Setting an
// identity again, or another one after a restore, is harmless.
package identity

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/guest/wire"
)

const (
	maxKeys    = 8
	maxKeySize = 16 << 10
	minEntropy = 32
	maxEntropy = 512
)

// made says whether s has min to max characters, all of them lower case
// letters, digits or of more.
func made(s string, min, max int, more string) bool {
	if len(s) < min || len(s) > max {
		return false
	}
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.ContainsRune(more, c) {
			return false
		}
	}
	return true
}

func isHostname(s string) bool {
	return made(s, 1, 63, "-") && s[0] != '-' && s[len(s)-1] != '-'
}

func isUser(s string) bool {
	return made(s, 1, 32, "_-") && s[0] != '-' && (s[0] < '0' || s[0] > '9')
}

func isKeyName(s string) bool {
	s, prefix := strings.CutPrefix(s, "ssh_host_")
	s, suffix := strings.CutSuffix(s, "_key")
	return prefix && suffix && made(s, 1, 32, "")
}

// Check refuses an identity that breaks a bound.
func Check(id wire.Identity) error {
	if !isHostname(id.Hostname) {
		return fmt.Errorf("%.80q is no host name", id.Hostname)
	}
	if raw, err := hex.DecodeString(id.MachineID); err != nil || len(raw) != 16 || allZero(raw) {
		return fmt.Errorf("%.80q is no machine ID (32 hex digits)", id.MachineID)
	}
	if id.User != "" && !isUser(id.User) {
		return fmt.Errorf("%.80q is no user name", id.User)
	}
	if n := len(id.Entropy); n < minEntropy || n > maxEntropy {
		return fmt.Errorf("%d bytes of entropy are not %d to %d", n, minEntropy, maxEntropy)
	}
	if id.Time.Year() < 2020 || id.Time.Year() > 2200 {
		return fmt.Errorf("the host's clock is off: %s", id.Time)
	}
	if len(id.HostKeys) > maxKeys {
		return fmt.Errorf("%d SSH host keys are more than %d", len(id.HostKeys), maxKeys)
	}
	for name, key := range id.HostKeys {
		if !isKeyName(name) || len(key) > maxKeySize {
			return fmt.Errorf("%.80q (%d bytes) is no SSH host key", name, len(key))
		}
	}
	if len(id.AuthorizedKeys) > maxKeys {
		return fmt.Errorf("%d authorized keys are more than %d", len(id.AuthorizedKeys), maxKeys)
	}
	for _, line := range id.AuthorizedKeys {
		if line == "" || len(line) > maxKeySize || strings.ContainsFunc(line, unicode.IsControl) {
			return fmt.Errorf("%.80q is no line of authorized keys", line)
		}
	}
	return nil
}

func allZero(raw []byte) bool {
	for _, b := range raw {
		if b != 0 {
			return false
		}
	}
	return true
}

// Apply makes this machine id. What it could not write into the image, odd as
// that may be, it returns as notes: the guest works without.
func Apply(id wire.Identity) (notes []string, err error) {
	if err := Check(id); err != nil {
		return nil, err
	}
	if err := errors.Join(addEntropy(id.Entropy), setClock(id.Time), setHostname(id.Hostname)); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot("/")
	if err != nil {
		return nil, fmt.Errorf("opening the root: %w", err)
	}
	defer root.Close()
	for _, err := range WriteFiles(root, id) {
		notes = append(notes, err.Error())
	}
	return notes, nil
}

func setHostname(name string) error {
	if err := unix.Sethostname([]byte(name)); err != nil {
		return fmt.Errorf("setting the host name: %w", err)
	}
	return nil
}

// WriteFiles writes an identity's files below root and returns what went
// wrong. A link in the image in a file's place is replaced, one in its
// directory's followed only inside.
func WriteFiles(root *os.Root, id wire.Identity) []error {
	if err := root.Mkdir("etc", 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return []error{fmt.Errorf("making /etc: %w", err)}
	}
	errs := append([]error{
		Replace(root, "etc/hostname", []byte(id.Hostname+"\n"), 0o644),
		Replace(root, "etc/machine-id", []byte(id.MachineID+"\n"), 0o444),
		writeHosts(root, id.Hostname),
	}, writeSSH(root, id)...)
	return slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}
