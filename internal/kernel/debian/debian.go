// Package debian takes a kernel of Debian's out of its package, by default that
// for clouds. The host's own apt finds and fetches it: no mirror is named here,
// and apt checks the signatures.
package debian

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/kernel"
)

// metaPackage depends on the newest cloud kernel.
const metaPackage = "linux-image-cloud-amd64"

// Config is where a Source keeps packages it has fetched.
type Config struct {
	CacheDir string // banger's; its kernels/ may be emptied at any time
	Package  string // one that depends on the newest kernel of its kind; linux-image-cloud-amd64 if empty
}

// Source is a kernel.Source.
type Source struct {
	cfg Config
	run hostexec.Runner
}

// New returns a Source.
func New(cfg Config, run hostexec.Runner) *Source {
	cfg.Package = cmp.Or(cfg.Package, metaPackage)
	return &Source{cfg: cfg, run: run}
}

var _ kernel.Source = (*Source)(nil)

// Fetch unpacks the newest kernel that the host's apt knows.
func (s *Source) Fetch(ctx context.Context, dir string, report kernel.Report) (kernel.Package, error) {
	report("kernel: looking it up", 0, 0)
	pkg, err := s.lookUp(ctx)
	if err != nil {
		return kernel.Package{}, err
	}
	deb, err := s.cached(ctx, pkg, report)
	if err != nil {
		return kernel.Package{}, err
	}
	report("kernel: unpacking", 0, 0)
	release := strings.TrimPrefix(pkg.name, "linux-image-")
	if err := s.unpack(ctx, deb, dir, release); err != nil {
		return kernel.Package{}, fmt.Errorf("unpacking %s: %w", filepath.Base(deb), err)
	}
	return kernel.Package{
		Release: release,
		Vmlinuz: filepath.Join("boot", "vmlinuz-"+release),
		Source:  "Debian " + pkg.name + " " + pkg.version,
	}, nil
}

// Prefetch gets the package into the cache, and says what it is.
func (s *Source) Prefetch(ctx context.Context, report kernel.Report) (string, error) {
	report("kernel: looking it up", 0, 0)
	pkg, err := s.lookUp(ctx)
	if err != nil {
		return "", err
	}
	_, err = s.cached(ctx, pkg, report)
	return pkg.name + " " + pkg.version, err
}

// deb is a package as apt describes it.
type deb struct {
	name    string
	version string
	sha256  string
	size    int64
}

var (
	dependsRE = regexp.MustCompile(`(?:^|[ ,])(linux-image-[a-z0-9.+~-]+-amd64) \(= ([A-Za-z0-9.+:~-]+)\)`)
	sha256RE  = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// lookUp finds the versioned package behind the meta package.
func (s *Source) lookUp(ctx context.Context) (deb, error) {
	meta, err := s.show(ctx, s.cfg.Package)
	if err != nil {
		return deb{}, err
	}
	m := dependsRE.FindStringSubmatch(meta["Depends"])
	if m == nil {
		return deb{}, fmt.Errorf("apt's %s names no kernel in its dependencies (%q)", s.cfg.Package, meta["Depends"])
	}
	d := deb{name: m[1], version: m[2]}
	fields, err := s.show(ctx, d.name+"="+d.version)
	if err != nil {
		return deb{}, err
	}
	d.sha256 = fields["SHA256"]
	if _, err := fmt.Sscan(fields["Size"], &d.size); err != nil || d.size <= 0 || !sha256RE.MatchString(d.sha256) {
		return deb{}, fmt.Errorf("apt does not tell size and checksum of %s %s", d.name, d.version)
	}
	return d, nil
}

// show returns the fields of the first stanza that apt-cache shows.
func (s *Source) show(ctx context.Context, what string) (map[string]string, error) {
	res, err := s.run.Run(ctx, hostexec.Cmd{
		Name: "apt-cache", Args: []string{"show", "--no-all-versions", what},
		Env: append(os.Environ(), "LC_ALL=C.UTF-8"),
	})
	var exit *hostexec.ExitError
	switch {
	case errors.Is(err, hostexec.ErrNotInstalled):
		return nil, fault.New(fault.Precondition, "Run banger on Debian.", "the default kernel comes from Debian's packages: %w", err)
	case errors.As(err, &exit) || err == nil && len(res.Stdout) == 0:
		return nil, fault.New(fault.Precondition, "Run sudo apt-get update, and check that a Debian repository is among apt's sources.",
			"apt knows no package %s, which the default kernel comes from", what)
	case err != nil:
		return nil, err
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(res.Stdout)) {
		line = strings.TrimRight(line, "\n")
		if line == "" {
			break
		}
		if key, value, ok := strings.Cut(line, ": "); ok && !strings.HasPrefix(line, " ") {
			fields[key] = value
		}
	}
	return fields, nil
}

// unpack takes the kernel and its modules out of the package.
func (s *Source) unpack(ctx context.Context, deb, dir, release string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := untar(r, root, release)
		var host *fs.PathError
		switch {
		case err == nil: // what pads a tar's end
			_, err = io.Copy(io.Discard, r)
		case !errors.As(err, &host): // else it is ours, not the package's
			err = fmt.Errorf("the package is damaged: %w", err)
		}
		r.CloseWithError(err) // ends dpkg-deb
		done <- err
	}()
	_, err = s.run.Run(ctx, hostexec.Cmd{Name: "dpkg-deb", Args: []string{"--fsys-tarfile", deb}, Stdout: w})
	w.CloseWithError(err)
	if tarErr := <-done; err == nil || ctx.Err() == nil && tarErr != nil {
		return tarErr
	}
	return err
}
