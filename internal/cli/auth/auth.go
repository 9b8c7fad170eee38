// Package auth is what of the user's own goes to VMs, and the command auth: it
// reads git's configuration, public keys and the files that config.toml or the
// command line names, here, with the rights of who runs it. The daemon opens none
// of them.
package auth

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/show"
	"github.com/banger-vm/banger/internal/credential"
)

// Flags say what a new VM gets.
type Flags struct {
	files []string
	none  bool
}

// Register adds the flags to a command that makes a VM.
func (f *Flags) Register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringArrayVar(&f.files, "credential", nil, "give the VM this file of yours, `FILE[:PATH]`, on a tmpfs; may be repeated (see banger auth)")
	fs.BoolVar(&f.none, "no-auth", false, "give the VM nothing of yours: neither git's name and address, nor public keys, nor files")
}

// Gather reads what a new VM gets.
func (f *Flags) Gather(ctx context.Context, a *app.App, quiet bool) (*Given, error) {
	if f.none {
		if len(f.files) > 0 {
			return nil, app.Usagef("--no-auth and --credential exclude each other")
		}
		return &Given{auth: &api.Auth{Off: true}, asked: true}, nil
	}
	return gather(ctx, a, f.files, quiet)
}

// Refresh reads what a VM gets at a start: what config.toml says.
func Refresh(ctx context.Context, a *app.App, quiet bool) (*Given, error) {
	return gather(ctx, a, nil, quiet)
}

// Given is what goes to a VM.
type Given struct {
	auth  *api.Auth // nil: nothing
	asked bool      // by a flag
}

// Send calls begin with it. A daemon that is too old to know of such things makes
// and starts VMs as it did, unless somebody asked for them.
func (g *Given) Send(a *app.App, begin func(*api.Auth) (api.Operation, error)) (api.Operation, error) {
	op, err := begin(g.auth)
	if err != nil && g.auth != nil && !g.asked && api.KindOf(err) == api.KindInvalid && strings.Contains(err.Error(), `the parameter "auth" is not known`) {
		if g.auth.Git != nil && *g.auth.Git != (api.GitIdentity{}) || len(g.auth.SSHKeys)+len(g.auth.Files) > 0 {
			a.Say("banger: the daemon is of an older version, which gives VMs neither git's name and address nor keys")
		}
		return begin(nil)
	}
	return op, err
}

// gather reads the files that were asked for, which must be there, and what
// config.toml says, of which that is told which is not.
func gather(ctx context.Context, a *app.App, asked []string, quiet bool) (*Given, error) {
	p, err := a.Places()
	if err != nil {
		return nil, err
	}
	settings, err := readSettings(p.ConfigFile)
	if err != nil {
		return nil, err
	}
	r := newReader(a, quiet)
	if err := r.askedFor(asked); err != nil {
		return nil, err
	}
	r.configured(settings.Files)
	// That there are none is said too: a VM loses those that it was given before.
	r.auth.Git, r.auth.SSHKeys = &api.GitIdentity{}, []string{}
	if settings.Git == nil || *settings.Git {
		r.auth.Git = r.git(ctx)
	}
	if settings.SSHKeys == nil || *settings.SSHKeys {
		r.auth.SSHKeys = r.keys()
	}
	return &Given{auth: &r.auth, asked: len(asked) > 0}, nil
}

// reader reads what is the user's own, within the bounds of a VM's.
type reader struct {
	home string // "" without one
	note func(format string, args ...any)
	auth api.Auth
	size int // of all files
}

func newReader(a *app.App, quiet bool) *reader {
	home, err := os.UserHomeDir()
	if err != nil || !filepath.IsAbs(home) {
		home = "" // then nothing is in it
	}
	return &reader{home: home, note: func(format string, args ...any) {
		if !quiet {
			a.Say("banger: %s", show.Safe(fmt.Sprintf(format, args...)))
		}
	}}
}

func (r *reader) has(path string) bool {
	for _, f := range r.auth.Files {
		if f.Path == path {
			return true
		}
	}
	return false
}

// add adds a file, where there is room.
func (r *reader) add(to credential.File, host string) error {
	if len(r.auth.Files) == credential.MaxFiles {
		return fmt.Errorf("there are more than %d files", credential.MaxFiles)
	}
	data, err := r.read(host)
	if err != nil {
		return err
	}
	if r.size+len(data) > credential.MaxAll {
		return fmt.Errorf("with it, all files are larger than %d KiB", credential.MaxAll>>10)
	}
	r.size += len(data)
	r.auth.Files = append(r.auth.Files, api.CredentialFile{Path: to.Path, Mode: to.Mode, Data: data})
	return nil
}

// askedFor reads files of the command line, FILE[:PATH].
func (r *reader) askedFor(all []string) error {
	for _, text := range all {
		host, to, err := r.parse(text)
		if err != nil {
			return app.Usagef("the credential %q: %w", show.Safe(text), err)
		}
		if r.has(to.Path) {
			return app.Usagef("two files go to %s", show.Safe(to.Path))
		}
		if err := r.add(to, host); err != nil {
			return app.Usagef("%s cannot be given to a VM: %w", show.Safe(host), err)
		}
	}
	return nil
}

// configured reads files of config.toml, unless one that was asked for is in the
// place of one.
func (r *reader) configured(all []credential.Source) {
	for _, s := range all {
		to, err := s.Target()
		if err == nil && r.has(to.Path) {
			continue
		}
		if err == nil {
			err = r.add(to, r.expand(s.Host))
		}
		if err != nil {
			r.note("%s is not given to the VM: %v", s.Host, err)
		}
	}
}
