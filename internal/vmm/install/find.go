package install

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// current is the link to the version in use.
const current = "current"

// versionForm keeps what a program says of itself from being a path.
var versionForm = regexp.MustCompile(`^[0-9][0-9A-Za-z.+-]{0,40}$`)

// Given is a program that the user named.
type Given struct {
	Path string // absolute
	By   string // where: "config.toml" or an environment variable
}

// Finder finds the program of a VMM: the given one, the installed one, or that
// of PATH.
type Finder struct {
	Dir   string // of the Registry
	Given map[string]Given
}

// The places where a program is found besides those of Given.
const (
	ByInstall = "installed"
	ByPath    = "PATH"
)

// Find returns the program of a VMM and where it comes from. "" is the one in
// PATH, if there is one.
func (f Finder) Find(name string) (path, by string) {
	if g, ok := f.Given[name]; ok {
		return g.Path, g.By
	}
	version, err := currentVersion(filepath.Join(f.Dir, name))
	if err != nil {
		return "", ByPath
	}
	path = filepath.Join(f.Dir, name, version, name)
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return "", ByPath
	}
	return path, ByInstall
}

// currentVersion is the version in use; fs.ErrNotExist if none is installed.
func currentVersion(dir string) (string, error) {
	version, err := os.Readlink(filepath.Join(dir, current))
	if err != nil {
		return "", err
	}
	if !versionForm.MatchString(version) {
		return "", errors.Join(fs.ErrNotExist, errors.New("the link to the version in use is damaged"))
	}
	return version, nil
}
