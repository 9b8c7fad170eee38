package auth

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/banger-vm/banger/internal/credential"
)

// parse reads FILE[:PATH]. A file of the home goes to the same place in the
// guest's where no PATH says another.
func (r *reader) parse(text string) (host string, to credential.File, err error) {
	if !utf8.ValidString(text) {
		return "", to, errors.New("it is not UTF-8")
	}
	host, path := text, ""
	if at := strings.LastIndex(text, ":"); at >= 0 {
		host, path = text[:at], text[at+1:]
		if path == "" {
			return "", to, errors.New("the path in the VM is empty")
		}
	}
	if host == "" {
		return "", to, errors.New("the file is empty")
	}
	if host, err = filepath.Abs(r.expand(host)); err != nil {
		return "", to, err
	}
	if path == "" {
		below, ok := r.inHome(host)
		if !ok {
			return "", to, errors.New("it is not in your home: say where it goes, as FILE:PATH")
		}
		path = credential.Home + below
	}
	to = credential.File{Mode: credential.DefaultMode}
	to.Path, err = credential.CleanPath(path)
	return host, to, err
}

// expand puts the home in the place of ~, which no shell has done within a flag.
func (r *reader) expand(path string) string {
	if below, ok := strings.CutPrefix(path, credential.Home); ok && r.home != "" {
		return filepath.Join(r.home, below)
	}
	return path
}

// inHome returns a path relative to the home.
func (r *reader) inHome(path string) (string, bool) {
	if r.home == "" {
		return "", false
	}
	below, err := filepath.Rel(r.home, path)
	return below, err == nil && filepath.IsLocal(below) && below != "."
}

// read reads a file of the user's. One in the home must not be a link to what is
// outside: whoever put that there meant something else by it.
func (r *reader) read(path string) ([]byte, error) {
	if _, ok := r.inHome(path); ok {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			return nil, plain(err)
		}
		home, err := filepath.EvalSymlinks(r.home)
		if err != nil {
			return nil, plain(err)
		}
		if below, err := filepath.Rel(home, real); err != nil || !filepath.IsLocal(below) {
			return nil, errors.New("it is a link that leads out of your home")
		}
	}
	// A pipe must not keep us waiting for who writes to it.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, plain(err)
	}
	defer f.Close()
	st, err := f.Stat()
	switch {
	case err != nil:
		return nil, plain(err)
	case st.IsDir():
		return nil, errors.New("it is a directory")
	case !st.Mode().IsRegular():
		return nil, errors.New("it is no regular file")
	case st.Size() > credential.MaxFile:
		return nil, errLarge()
	}
	data, err := io.ReadAll(io.LimitReader(f, credential.MaxFile+1))
	if err == nil && len(data) > credential.MaxFile {
		err = errLarge()
	}
	if err != nil {
		return nil, plain(err)
	}
	return data, nil
}

func errLarge() error {
	return fmt.Errorf("it is larger than %d KiB", credential.MaxFile>>10)
}

// plain is an error of a file without the path, which is told along with it.
func plain(err error) error {
	var p *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("it is not there")
	case errors.As(err, &p):
		return p.Err
	}
	return err
}
