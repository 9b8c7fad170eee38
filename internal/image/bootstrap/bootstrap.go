// Package bootstrap makes a Debian image out of packages that the host's own
// apt sources offer: mmdebstrap fills a directory, we make it a good guest,
// and mke2fs turns it into a sparse ext4. A cache of finished images spares
// the next state directory the work.
package bootstrap

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/image"
	"github.com/banger-vm/banger/internal/operation"
)

// Config has the places and settings of a Builder.
type Config struct {
	CacheDir string // may be emptied at any time; "" for no cache
	UID      int    // that we run as
	// The host's files; tests have their own.
	OSRelease string // "/etc/os-release" if empty
	Keyring   string // Debian's archive keys
	SubUID    string // "/etc/subuid" if empty
	SubGID    string // "/etc/subgid" if empty
	Variant   Variant
	Now       func() time.Time
}

// DefaultKeyring holds the keys of Debian's archive on every Debian host.
const DefaultKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// Builder makes Debian images.
type Builder struct {
	cfg Config
	run hostexec.Runner
	log *slog.Logger

	removeAll func(path string) error
}

var _ image.Maker = (*Builder)(nil)

// New returns a Builder.
func New(cfg Config, run hostexec.Runner, log *slog.Logger) *Builder {
	cfg.OSRelease = cmp.Or(cfg.OSRelease, "/etc/os-release")
	cfg.Keyring = cmp.Or(cfg.Keyring, DefaultKeyring)
	cfg.SubUID, cfg.SubGID = cmp.Or(cfg.SubUID, "/etc/subuid"), cmp.Or(cfg.SubGID, "/etc/subgid")
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Builder{cfg: cfg, run: run, log: log, removeAll: os.RemoveAll}
}

// Make makes the image, out of the cache where that has it.
func (b *Builder) Make(ctx context.Context, dir string, report operation.Report) (image.Image, error) {
	report(operation.Progress{Phase: "image: looking for package sources"})
	r, err := b.recipe(ctx)
	if err != nil {
		return image.Image{}, err
	}
	img, err := b.fromCache(ctx, r, dir, report)
	if err == nil {
		return img, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return image.Image{}, err
	}
	// Before what would make a build fail after minutes.
	if err := b.Subordinates(); err != nil {
		return image.Image{}, err
	}
	if img, err = b.build(ctx, r, dir, report); err != nil {
		return image.Image{}, err
	}
	if err := b.toCache(ctx, r, dir, img, report); err != nil {
		if ctx.Err() != nil {
			return image.Image{}, err
		}
		b.log.Warn("the image is made, but could not be put into the cache", "err", err)
	}
	return img, nil
}

// build makes the image from packages.
func (b *Builder) build(ctx context.Context, r recipe, dir string, report operation.Report) (img image.Image, err error) {
	scratch, err := os.MkdirTemp(dir, scratchPrefix)
	if err != nil {
		return img, err
	}
	defer func() {
		err = errors.Join(err, b.Discard(context.WithoutCancel(ctx), scratch))
	}()
	tree := filepath.Join(scratch, "root")
	if err := b.install(ctx, r, scratch, tree, report); err != nil {
		return img, err
	}
	report(operation.Progress{Phase: "image: configuring"})
	root, err := os.OpenRoot(tree)
	if err != nil {
		return img, err
	}
	defer root.Close()
	if err := customize(root, r, b.cfg.Now()); err != nil {
		return img, fmt.Errorf("configuring the image: %w", err)
	}
	if err := copySkel(root, filepath.Join(dir, image.SkelName)); err != nil {
		return img, fmt.Errorf("taking the home's skeleton out of the image: %w", err)
	}
	report(operation.Progress{Phase: "image: making the disk"})
	path := filepath.Join(dir, image.RootFile)
	if err := b.makeDisk(ctx, tree, path); err != nil {
		return img, err
	}
	img = image.Image{User: userName, UID: userID, GID: userID, OS: prettyName(root), Recipe: r.digest}
	img.SizeBytes, img.UsedBytes, err = usage(path)
	return img, err
}

// install has mmdebstrap fill tree. It runs in a mount and a process
// namespace of its own: when it ends, however it does, its mounts and its
// processes are gone.
func (b *Builder) install(ctx context.Context, r recipe, scratch, tree string, report operation.Report) error {
	conf := filepath.Join(scratch, "apt.conf")
	if err := os.WriteFile(conf, []byte(r.aptConf), 0o600); err != nil { // a proxy may have a password
		return err
	}
	args := append(b.userNamespace(), "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--", "mmdebstrap")
	progress := &progressWriter{report: report}
	res, err := b.run.Run(ctx, hostexec.Cmd{
		Name: "unshare", Args: append(args, r.command(b.mode(), conf, tree)...),
		Env:    append(os.Environ(), "LC_ALL=C.UTF-8", "TMPDIR="+scratch),
		Stderr: progress,
	})
	var exit *hostexec.ExitError
	if !errors.As(err, &exit) || ctx.Err() != nil {
		return err
	}
	said := string(res.Stderr)
	if strings.Contains(said, "unshare: failed to execute mmdebstrap") {
		return fault.New(fault.Precondition, "Install it with: sudo apt-get install mmdebstrap", "making an image needs mmdebstrap, which is not installed")
	}
	if err := b.noNamespace(said); err != nil {
		return err
	}
	if strings.Contains(said, "No space left on device") {
		return fault.New(fault.Precondition, "Make room and try again: an image takes about 1 GB while it is made.", "the disk is full: the packages of the image could not be installed")
	}
	return fault.New(fault.Unavailable, "Check the network and apt's sources (sudo apt-get update), then try again.",
		"the packages of the image could not be installed: %s", cause(said, exit))
}

// cause finds the line that says what went wrong: the first error, for later
// ones only follow from it.
func cause(stderr string, exit error) string {
	for line := range strings.Lines(stderr) {
		for _, mark := range []string{"E: ", "Err:", "dpkg: error"} {
			if strings.HasPrefix(line, mark) {
				return strings.TrimSpace(line)
			}
		}
	}
	return exit.Error()
}
