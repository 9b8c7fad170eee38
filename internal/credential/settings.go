package credential

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// Settings are the table auth of config.toml: what VMs are given. The client
// reads it; the daemon knows it only so far that it refuses a wrong one.
type Settings struct {
	Git     *bool    `toml:"git"`      // the user's name and address; default true
	SSHKeys *bool    `toml:"ssh_keys"` // the user's public keys; default true
	Files   []Source `toml:"credential"`
}

// Source is a file of the host and where it goes.
type Source struct {
	Host  string `toml:"host"`  // absolute, or ~/…
	Guest string `toml:"guest"` // as CleanPath takes it; "": as Host
	Mode  Mode   `toml:"mode"`
}

// Mode is the permission bits of a file, written as "0600"; 0: not given.
type Mode uint32

// UnmarshalText reads "0600".
func (m *Mode) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 8, 32)
	if err != nil || n == 0 || n > 0o777 {
		return fmt.Errorf(`%q is no mode of a file such as "0600"`, text)
	}
	*m = Mode(n)
	return nil
}

// Check refuses what can never be given.
func (s Settings) Check() error {
	for _, f := range s.Files {
		if _, err := f.Target(); err != nil {
			return fmt.Errorf("in auth.credential: %w", err)
		}
	}
	return nil
}

// Target is the file in the guest, without its content.
func (s Source) Target() (File, error) {
	if s.Host == "" {
		return File{}, errors.New("host, the file that is to be given, is missing")
	}
	if !filepath.IsAbs(s.Host) && !strings.HasPrefix(s.Host, Home) {
		return File{}, fmt.Errorf("host = %q is neither absolute nor ~/…", s.Host)
	}
	guest := s.Guest
	if guest == "" {
		guest = s.Host
	}
	at, err := CleanPath(guest)
	f := File{Path: at, Mode: uint32(s.Mode)}
	if f.Mode == 0 {
		f.Mode = DefaultMode
	}
	return f, err
}
