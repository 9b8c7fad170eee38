// Package install keeps the VMM programs that banger was told to install, and
// finds the one to use.
//
// One VMM's are <state>/vmm/NAME/VERSION/PROGRAM, and NAME/current is a link to
// the version in use. What is installed comes from a file or an address that
// the user names, with the checksum that the user expects: nothing is fetched
// unasked, and nothing is looked into before its checksum was compared.
package install

import (
	"context"
	"log/slog"
	"net/http"
	"path/filepath"
	"time"

	"github.com/banger-vm/banger/internal/operation"
)

// The kinds of operations on VMMs.
const (
	KindInstall = "vmm.install"
	KindRemove  = "vmm.remove"
)

// Product is a VMM that can be installed.
type Product struct {
	Name string
	// Programs are the names of its programs; the first one is the VMM, the
	// others are kept where they are there.
	Programs []string
	// Version runs the VMM at path and returns its version, or refuses it.
	Version func(ctx context.Context, path string) (string, error)
}

// Config has the places and bounds of a Registry; zero bounds take the defaults.
type Config struct {
	Dir      string // holds one directory per VMM
	Products []Product
	// Users names the VMs that stand on a VMM.
	Users func(ctx context.Context, name string) (running, stopped []string, err error)
	// Client fetches from addresses.
	Client *http.Client

	Timeout     time.Duration // of a fetch; default 15 minutes
	MaxGiven    int64         // of what is fetched; default 256 MiB
	MaxUnpacked int64         // of all that is in an archive; default 1 GiB
	VersionTime time.Duration // of a program that is asked for its version; default 10 s
}

// Registry installs and removes VMMs.
type Registry struct {
	cfg Config
	log *slog.Logger
}

// New returns the registry of cfg.Dir.
func New(log *slog.Logger, cfg Config) *Registry {
	if cfg.Client == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.ResponseHeaderTimeout = 30 * time.Second
		transport.DisableCompression = true // the checksum is of what the server keeps
		cfg.Client = &http.Client{Transport: transport}
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 15 * time.Minute
	}
	if cfg.MaxGiven == 0 {
		cfg.MaxGiven = 256 << 20
	}
	if cfg.MaxUnpacked == 0 {
		cfg.MaxUnpacked = 1 << 30
	}
	if cfg.VersionTime == 0 {
		cfg.VersionTime = 10 * time.Second
	}
	return &Registry{cfg: cfg, log: log}
}

// Planners are the planners of the operations on VMMs, by kind.
func (r *Registry) Planners() map[string]operation.Planner {
	return map[string]operation.Planner{KindInstall: r.planInstall, KindRemove: r.planRemove}
}

func (r *Registry) home(name string) string { return filepath.Join(r.cfg.Dir, name) }

func (r *Registry) product(name string) (Product, bool) {
	for _, p := range r.cfg.Products {
		if p.Name == name {
			return p, true
		}
	}
	return Product{}, false
}
