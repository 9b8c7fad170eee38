package auth

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/credential"
)

// gitPatience is how long git may take to read its configuration.
const gitPatience = 2 * time.Second

// git asks git who the user is, wherever this runs: what a repository says of
// itself does not count. Without git, or a name, that is nobody; nil is not known.
func (r *reader) git(ctx context.Context) *api.GitIdentity {
	ctx, cancel := context.WithTimeout(ctx, gitPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", "config", "--global", "--includes", "--null", "--get-regexp", `^user\.(name|email)$`)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		r.note("git did not say who you are within %s; the VM's git does not know", gitPatience)
		return nil
	case errors.Is(err, exec.ErrNotFound), errors.As(err, &exit) && exit.ExitCode() == 1: // nothing is set
		return &api.GitIdentity{}
	case err != nil:
		r.note("git does not say who you are: %v; the VM's git does not know", err)
		return nil
	}
	var who credential.Git
	for entry := range bytes.SplitSeq(out, []byte{0}) {
		key, value, _ := strings.Cut(string(entry), "\n")
		switch key { // the last of several counts
		case "user.name":
			who.Name = value
		case "user.email":
			who.Email = value
		}
	}
	if err := (credential.Set{Git: &who}).Check(); err != nil {
		r.note("the VM's git does not know who you are: %v", err)
		return nil
	}
	return &api.GitIdentity{Name: who.Name, Email: who.Email}
}

// keys reads the user's public keys, ~/.ssh/*.pub. What is none is left out; nil
// is not known.
func (r *reader) keys() (lines []string) {
	if r.home == "" {
		return nil
	}
	names, err := filepath.Glob(filepath.Join(r.home, ".ssh", "*.pub")) // sorted
	if err != nil {
		return nil // of a home with such a name
	}
	lines = []string{}
	for _, name := range names {
		line, err := firstLine(name)
		if err != nil || credential.CheckKey(line) != nil {
			continue
		}
		if len(lines) == credential.MaxKeys {
			r.note("of your public keys the VM is given the first %d", credential.MaxKeys)
			break
		}
		lines = append(lines, line)
	}
	return lines
}

func firstLine(path string) (string, error) {
	st, err := os.Stat(path)
	if err != nil || !st.Mode().IsRegular() {
		return "", errors.Join(errors.New("it is no regular file"), err)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, credential.MaxKey+2))
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(line), err
}
