package archive

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/banger-vm/banger/api"
)

// Rules say how an archive is unpacked.
type Rules struct {
	Side Side
	// Into: the destination is a directory that is there.
	Into bool
	// Tops are the only names that may come at the top; nil: any.
	Tops []string
	// Foreign: the archive may be another program's. GNU tar's sparse files
	// lose their holes then.
	Foreign  bool
	Setuid   bool  // keep setuid and setgid bits
	MaxBytes int64 // of content; 0: any
	// Reserve: leave some of the disk free (see room).
	Reserve bool
}

// Place is a destination. Close it.
type Place struct {
	rules Rules
	root  *os.Root
	as    string // the name that the one source gets; "": its own
	isDir bool   // and that it is a directory
}

// OpenPlace finds a destination as cp does: in a directory that is there, else
// by that name. It refuses what cannot be, before anything is copied.
func OpenPlace(dest string, rules Rules) (*Place, error) {
	clean := filepath.Clean(dest)
	slash := strings.HasSuffix(dest, "/")
	info, err := os.Stat(clean)
	switch {
	case err == nil && info.IsDir():
		return openRoot(clean, &Place{rules: rules})
	case err == nil && (rules.Into || slash):
		return nil, refuse(api.KindFailedPrecondition, "", "%s is no directory %s", clean, rules.Side)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, unreachable(clean, rules.Side, err)
	case err != nil && rules.Into:
		return nil, refuse(api.KindNotFound, "Make it first.", "there is no directory %s %s", clean, rules.Side)
	}
	if info, err := os.Lstat(clean); err == nil && info.Mode().Type() == fs.ModeSymlink {
		return nil, refuse(api.KindFailedPrecondition, "Name what it points to, or remove it first.", "%s is a symbolic link %s", clean, rules.Side)
	}
	return openRoot(filepath.Dir(clean), &Place{rules: rules, as: filepath.Base(clean), isDir: slash})
}

func openRoot(dir string, p *Place) (*Place, error) {
	var err error
	if p.root, err = os.OpenRoot(dir); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, refuse(api.KindNotFound, "Make it first.", "there is no directory %s %s", dir, p.rules.Side)
		}
		return nil, unreachable(dir, p.rules.Side, err)
	}
	return p, nil
}

// Close lets go of it.
func (p *Place) Close() error { return p.root.Close() }
