// Package credential is what of a user's own a VM can be given: who they are to
// git, their public SSH keys, and files with credentials. Its bounds and rules
// are the same where such things are read, kept, and put into a guest.
package credential

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The bounds of a Set; in JSON it is less than a megabyte.
const (
	MaxFile  = 256 << 10 // bytes of a file
	MaxAll   = 512 << 10 // bytes of all files
	MaxFiles = 32
	MaxKeys  = 16
	MaxKey   = 8 << 10 // bytes of a key's line
	MaxPath  = 255     // bytes
	MaxWord  = 255     // bytes of a name or an address
)

// DefaultMode is that of a file of which nobody says another.
const DefaultMode = 0o600

// Set is what a VM is given.
type Set struct {
	Git   *Git     `json:"git,omitempty"`
	Keys  []string `json:"keys,omitzero"` // lines of authorized_keys without options
	Files []File   `json:"files,omitempty"`
}

// Git is who a user is in commits; either may be empty.
type Git struct {
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`
}

// File is a file with credentials. Path is as CleanPath returns it, Mode the
// permission bits.
type File struct {
	Path string `json:"path"`
	Mode uint32 `json:"mode"`
	Data Secret `json:"data"`
}

// Secret are bytes of which nothing is seen where they are printed.
type Secret []byte

// Format implements fmt.Formatter, for all verbs.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "[%d bytes]", len(s)) }

// Check refuses a set that breaks a bound or a rule.
func (s Set) Check() error {
	if s.Git != nil {
		for _, word := range []string{s.Git.Name, s.Git.Email} {
			if len(word) > MaxWord || !readable(word) {
				return fmt.Errorf("%.80q is nobody's name or address", word)
			}
		}
	}
	if n := len(s.Keys); n > MaxKeys {
		return fmt.Errorf("%d public keys are more than %d", n, MaxKeys)
	}
	for _, line := range s.Keys {
		if err := CheckKey(line); err != nil {
			return err
		}
	}
	if n := len(s.Files); n > MaxFiles {
		return fmt.Errorf("%d files are more than %d", n, MaxFiles)
	}
	all, seen := 0, map[string]bool{}
	for _, f := range s.Files {
		if err := f.check(); err != nil {
			return err
		}
		if seen[f.Path] {
			return fmt.Errorf("there are two files %s", f.Path)
		}
		seen[f.Path] = true
		if all += len(f.Data); all > MaxAll {
			return fmt.Errorf("all files together are larger than %d KiB", MaxAll>>10)
		}
	}
	return nil
}

func (f File) check() error {
	clean, err := CleanPath(f.Path)
	switch {
	case err != nil:
		return err
	case clean != f.Path:
		return fmt.Errorf("the path %q is to be written %q", f.Path, clean)
	case f.Mode == 0 || f.Mode > 0o777:
		return fmt.Errorf("%#o is no mode of a file", f.Mode)
	case len(f.Data) > MaxFile:
		return fmt.Errorf("%s is larger than %d KiB", f.Path, MaxFile>>10)
	}
	return nil
}

// readable reports whether s is text that fits a line.
func readable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar })
}
