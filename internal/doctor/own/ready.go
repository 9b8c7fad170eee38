package own

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/banger-vm/banger/internal/doctor"
)

// records is the database, or why it does not tell what is there.
func (f Facts) records(ctx context.Context) (db Database, skip string) {
	db, err := f.Database(ctx)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return db, "the database cannot be read"
	case db.Version != db.Newest:
		return db, "the database is of another version"
	}
	return db, ""
}

func (f Facts) image(ctx context.Context) doctor.Finding {
	db, skip := f.records(ctx)
	if skip != "" {
		return doctor.Skipped("%s", skip)
	}
	if db.Images == 0 {
		return doctor.Bad(doctor.Warn, doctor.Fix{Command: "banger image bootstrap"}, "there is no image yet; the first banger run makes one, which takes minutes")
	}
	return doctor.Good("there are %d images", db.Images)
}

func (f Facts) kernel(ctx context.Context) doctor.Finding {
	db, skip := f.records(ctx)
	if skip != "" {
		return doctor.Skipped("%s", skip)
	}
	if db.Kernels == 0 {
		return doctor.Bad(doctor.Warn, doctor.Fix{Command: "banger run --rm debian -- true"}, "there is no guest kernel yet; the first VM brings one")
	}
	return doctor.Good("there are %d guest kernels", db.Kernels)
}

// sshKey finds a key that OpenSSH would refuse to use.
func (f Facts) sshKey(context.Context) doctor.Finding {
	path := filepath.Join(f.Places.StateDir, "ssh", "id_ed25519")
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return doctor.Good("the key that opens VMs is made when it is needed")
	case err != nil:
		return doctor.Broken(doctor.Warn, err)
	case info.Mode().Perm()&0o077 != 0:
		return doctor.Bad(doctor.Fail, doctor.Fix{Command: "chmod 600 " + doctor.Quote(path), Safe: true},
			"others may read the key that opens VMs (%s, mode %04o)", path, info.Mode().Perm())
	}
	return doctor.Good("the key that opens VMs is this user's alone")
}

func (f Facts) sshConfig(context.Context) doctor.Finding {
	ours := filepath.Join(f.Places.StateDir, "ssh", "config")
	text, err := os.ReadFile(filepath.Join(f.Home, ".ssh", "config"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return doctor.Broken(doctor.Warn, err)
	}
	for line := range strings.Lines(string(text)) {
		if word, path, ok := strings.Cut(strings.TrimSpace(line), " "); ok && strings.EqualFold(word, "include") && strings.Trim(path, `" `) == ours {
			return doctor.Good("ssh knows VMs by name")
		}
	}
	return doctor.Bad(doctor.Warn, doctor.Fix{Command: "banger ssh-config --install"}, "ssh, scp and git do not know VMs by name; banger ssh does")
}
