// Package debian makes what the test host boots: an image of Debian with all
// that a host of banger has, a kernel with its modules, and an initramfs with
// the agent. All of it is kept in banger's cache, by what it was made of.
package debian

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/image"
	"github.com/banger-vm/banger/internal/image/bootstrap"
	"github.com/banger-vm/banger/internal/kernel"
	kerneldebian "github.com/banger-vm/banger/internal/kernel/debian"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/test/host/cachedir"
)

// Config has the places of a Maker.
type Config struct {
	CacheDir string // banger's
	Dir      string // in it, for all of the test host
	Source   string // the repository
}

// unusedFor is how long an image is kept that no host is made of.
const unusedFor = 30 * 24 * time.Hour

// Base is what a host is booted of. It is never written to.
type Base struct {
	Root      string // raw ext4
	Modules   string // ext4 for /lib/modules/VERSION
	Kernel    string
	Initramfs string
	ID        string // changes with any of them
}

// Maker makes bases.
type Maker struct {
	cfg Config
	run hostexec.Runner
	log *slog.Logger
}

// New returns a Maker.
func New(cfg Config, run hostexec.Runner, log *slog.Logger) *Maker {
	return &Maker{cfg: cfg, run: run, log: log}
}

// Ensure returns the base, making what is missing.
func (m *Maker) Ensure(ctx context.Context) (Base, error) {
	release, err := cachedir.Lock(ctx, filepath.Join(m.cfg.Dir, "base.lock"))
	if err != nil {
		return Base{}, err
	}
	defer release()
	root, recipe, err := m.image(ctx)
	if err != nil {
		return Base{}, err
	}
	agent, err := m.buildAgent(ctx)
	if err != nil {
		return Base{}, err
	}
	source := kerneldebian.New(kerneldebian.Config{CacheDir: m.cfg.CacheDir}, m.run)
	library := kernel.New(kernel.Config{Dir: filepath.Join(m.cfg.Dir, "kernels")}, source, m.run, m.log)
	k, err := library.Ensure(ctx, func(string, int64, int64) {})
	if err != nil {
		return Base{}, err
	}
	initramfs, err := library.Initramfs(ctx, k, agent)
	if err != nil {
		return Base{}, err
	}
	sum := sha256.Sum256([]byte(recipe + "\n" + initramfs))
	return Base{Root: root, Modules: k.ModulesDisk, Kernel: k.Vmlinux, Initramfs: initramfs, ID: hex.EncodeToString(sum[:8])}, nil
}

// image returns the path and the recipe of the image.
func (m *Maker) image(ctx context.Context) (path, recipe string, err error) {
	b := bootstrap.New(bootstrap.Config{UID: os.Geteuid(), Variant: variant}, m.run, m.log)
	if recipe, err = b.Recipe(ctx); err != nil {
		return "", "", err
	}
	final := filepath.Join(m.cfg.Dir, "images", recipe[:16])
	path = filepath.Join(final, image.RootFile)
	if err := cachedir.Touch(final); !errors.Is(err, fs.ErrNotExist) {
		return path, recipe, err
	}
	for _, dir := range []string{"images", "lists"} {
		if err := cachedir.DropUnused(filepath.Join(m.cfg.Dir, dir), unusedFor); err != nil {
			return "", "", err
		}
	}
	m.log.Info("making the host's image of packages; this takes minutes, once")
	making := filepath.Join(m.cfg.Dir, "making")
	if err := errors.Join(b.Discard(ctx, making), os.MkdirAll(making, 0o700), os.MkdirAll(filepath.Dir(final), 0o700)); err != nil {
		return "", "", err
	}
	last := ""
	_, err = b.Make(ctx, making, func(p operation.Progress) {
		if p.Phase != last {
			m.log.Info(p.Phase)
			last = p.Phase
		}
	})
	if err != nil {
		return "", "", errors.Join(err, b.Discard(context.WithoutCancel(ctx), making))
	}
	return path, recipe, os.Rename(making, final)
}

// buildAgent builds the agent, always the same from the same source.
func (m *Maker) buildAgent(ctx context.Context) (string, error) {
	out := filepath.Join(m.cfg.Dir, "agent")
	_, err := m.run.Run(ctx, hostexec.Cmd{
		Name: "go", Dir: m.cfg.Source,
		Args: []string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out, "./test/host/agent"},
		Env:  append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS="),
	})
	if err != nil {
		return "", fmt.Errorf("building the host's agent: %w", err)
	}
	return out, nil
}
