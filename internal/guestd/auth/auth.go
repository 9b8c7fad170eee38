// Package auth gives a guest's login user what is the user's own: who they are
// to git, their public keys, and files with credentials. The files are on a
// tmpfs, with links to them where programs look, so that no disk ever holds one.
// What is in the way and not ours stays as it is.
package auth

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/banger-vm/banger/internal/credential"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/guestd/identity"
	"github.com/banger-vm/banger/internal/guestd/login"
)

// runDir is on a tmpfs of the guest, relative to its root.
const runDir = "run/banger/auth"

// Config says where; the zero value is right for a guest.
type Config struct {
	Root string // default "/"
}

// Giver gives users what is their own.
type Giver struct {
	root  string
	users *login.Files
	// given are the marks of the files that were given last, by path. What a
	// program has written to one since stays until the host has another.
	given map[string]mark
}

// New makes a Giver for the users that users knows.
func New(users *login.Files, cfg Config) *Giver {
	return &Giver{root: cmp.Or(cfg.Root, "/"), users: users}
}

// Give makes a what a user has, by "" root; nothing of an earlier one stays. It
// must not be called twice at once. A host's nonsense changes nothing.
func (g *Giver) Give(user string, a wire.Auth) wire.AuthReport {
	r := wire.AuthReport{ID: a.ID}
	problem := func(err error) {
		if err != nil {
			r.Problems = append(r.Problems, reason(err))
		}
	}
	to, err := g.receiver(user, a)
	if err != nil {
		problem(err)
		return r
	}
	defer to.root.Close()
	problem(to.git(a.Git))
	problem(to.keys(a.Keys))
	var gone []error
	for _, path := range a.Gone {
		gone = append(gone, to.remove(path))
	}
	problem(errors.Join(gone...))
	keep := map[string]bool{gitConfig: true, filepath.Base(identity.UserKeys): true}
	given := map[string]mark{}
	for _, f := range a.Files {
		m := to.mark(f)
		err := to.put(f, g.given[f.Path] == m)
		r.Files = append(r.Files, reason(err))
		if keep[kept(f.Path)] = err == nil; err == nil {
			given[f.Path] = m
		}
	}
	g.given = given
	problem(to.sweep(keep))
	return r
}

// receiver is a user who is given something.
type receiver struct {
	root *os.Root // of the guest
	user *login.User
	home string
}

func (g *Giver) receiver(name string, a wire.Auth) (*receiver, error) {
	if err := check(a); err != nil {
		return nil, err
	}
	u, ok := g.users.Lookup(cmp.Or(name, "root"))
	if !ok {
		return nil, fmt.Errorf("the guest has no user %.40q", name)
	}
	root, err := os.OpenRoot(g.root)
	if err != nil {
		return nil, fmt.Errorf("opening the root: %w", err)
	}
	// Its users may reach their files there, and see no others.
	if err := errors.Join(root.MkdirAll(runDir, 0o711), root.Chmod(runDir, 0o711)); err != nil {
		return nil, errors.Join(fmt.Errorf("making /%s: %w", runDir, err), root.Close())
	}
	return &receiver{root: root, user: u, home: filepath.Join(g.root, u.Home)}, nil
}

func check(a wire.Auth) error {
	if len(a.Gone) > wire.MaxGone {
		return fmt.Errorf("%d files that are gone are more than %d", len(a.Gone), wire.MaxGone)
	}
	for _, path := range a.Gone {
		if clean, err := credential.CleanPath(path); err != nil || clean != path {
			return errors.Join(fmt.Errorf("%.80q is no path of a file", path), err)
		}
	}
	return a.Check()
}

// keys writes the user's public keys, where the image has an SSH server. They are
// in runDir too: an image made of the root does not open to its user.
func (to *receiver) keys(lines []string) error {
	if st, err := to.root.Stat("etc/ssh"); err != nil || !st.IsDir() {
		return nil
	}
	if len(lines) == 0 {
		return ignoreMissing(to.root.Remove(identity.UserKeys))
	}
	return identity.Replace(to.root, identity.UserKeys, []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}

// reason is an error as a report has it, "" for none.
func reason(err error) string {
	if err == nil {
		return ""
	}
	text := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, err.Error())
	if len(text) > wire.MaxReason {
		text = strings.ToValidUTF8(text[:wire.MaxReason], "")
	}
	return text
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
