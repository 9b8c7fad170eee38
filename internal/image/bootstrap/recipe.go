package bootstrap

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
)

// recipeVersion changes with everything here that changes the image.
const recipeVersion = "banger-debian-2"

// The login user.
const (
	userName = "dev"
	userID   = 1000
)

// packages are what the image has beyond Debian's required ones: an init, a
// sane login, ssh, name resolution, and a developer's basic tools.
var packages = []string{
	"systemd", "systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd", "udev", "kmod",
	"systemd-resolved", "libnss-myhostname", "netbase", "iproute2",
	"openssh-server", "sudo", "git", "curl", "ca-certificates", "procps", "less",
}

// Variant is what an image has beyond the default one's content.
type Variant struct {
	Packages []string
	Hooks    []string // shell commands, run when all is installed; $1 is the tree
	Files    []File   // come last, over all others
}

// recipe is all that goes into an image.
type recipe struct {
	suite   string // Debian's code name
	sources []source
	keyring string
	aptConf string // settings that fetching needs on this host
	variant Variant
	digest  string
}

// recipe finds out what the image will be made of.
func (b *Builder) recipe(ctx context.Context) (recipe, error) {
	r := recipe{keyring: b.cfg.Keyring, variant: b.cfg.Variant}
	var err error
	if r.suite, err = hostSuite(b.cfg.OSRelease); err != nil {
		return r, err
	}
	if r.sources, err = b.findSources(ctx, r.suite); err != nil {
		return r, err
	}
	if r.aptConf, err = b.hostAptConf(ctx); err != nil {
		return r, err
	}
	parts := []string{
		// What is made is the same in every mode.
		recipeVersion, r.suite, r.sourcesList(), strings.Join(packages, " "), strings.Join(mmdebstrapOptions(modeRoot), " "),
	}
	if v := r.variant; len(v.Packages)+len(v.Hooks)+len(v.Files) > 0 {
		parts = append(parts, fmt.Sprintf("%q", v))
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	r.digest = hex.EncodeToString(sum[:])
	return r, nil
}

// Recipe is the digest of what the next image is made of.
func (b *Builder) Recipe(ctx context.Context) (string, error) {
	r, err := b.recipe(ctx)
	return r.digest, err
}

// sourcesList is the image's /etc/apt/sources.list.
func (r recipe) sourcesList() string {
	var b strings.Builder
	for _, s := range r.sources {
		b.WriteString(s.public().line(r.keyring) + "\n")
	}
	return b.String()
}

// mmdebstrapOptions are those that are the same for every image. Manuals and
// translations are left out; what a user installs later comes whole, for
// customize removes these settings.
func mmdebstrapOptions(mode string) []string {
	return []string{
		"--verbose", "--mode=" + mode, "--format=directory", "--variant=minbase", "--architectures=amd64",
		"--dpkgopt=force-unsafe-io",
		"--dpkgopt=path-exclude=/usr/share/man/*",
		"--dpkgopt=path-exclude=/usr/share/info/*",
		"--dpkgopt=path-exclude=/usr/share/locale/*",
		"--dpkgopt=path-include=/usr/share/locale/locale.alias",
		"--dpkgopt=path-exclude=/usr/share/doc/*",
		"--dpkgopt=path-include=/usr/share/doc/*/copyright",
		`--customize-hook=chroot "$1" useradd --create-home --uid 1000 --user-group --groups sudo --shell /bin/bash --password "*" dev`,
		`--customize-hook=chroot "$1" systemctl enable systemd-networkd.service`,
	}
}

// command is the argument list of mmdebstrap.
func (r recipe) command(mode, aptConf, tree string) []string {
	args := mmdebstrapOptions(mode)
	for _, hook := range r.variant.Hooks {
		args = append(args, "--customize-hook="+hook)
	}
	all := append(packages[:len(packages):len(packages)], r.variant.Packages...)
	args = append(args, "--aptopt="+aptConf, "--include="+strings.Join(all, ","), r.suite, tree)
	for _, s := range r.sources {
		args = append(args, s.line(r.keyring))
	}
	return args
}

// settingRE are the settings of the host's apt that fetching may need.
var settingRE = regexp.MustCompile(`^Acquire::(Retries|Check-Valid-Until|Check-Date|ForceIPv[46]|` +
	`https?::(Proxy(::[^":;]+)?|Proxy-?Auto-?Detect|Timeout|CaInfo|CaPath|SslCert|SslKey|Verify-Peer|Verify-Host)) "[^"\\]+";$`)

// hostAptConf returns the host's settings for fetching: proxies, certificates.
func (b *Builder) hostAptConf(ctx context.Context) (string, error) {
	res, err := b.run.Run(ctx, hostexec.Cmd{Name: "apt-config", Args: []string{"dump", "Acquire"}})
	if err != nil {
		return "", aptError(err)
	}
	var conf strings.Builder
	for line := range strings.Lines(string(res.Stdout)) {
		if settingRE.MatchString(strings.TrimRight(line, "\n")) {
			conf.WriteString(line)
		}
	}
	return conf.String(), nil
}

func aptError(err error) error {
	if errors.Is(err, hostexec.ErrNotInstalled) {
		return fault.New(fault.Precondition, "Run banger on Debian.", "the image is made of Debian's packages: %w", err)
	}
	return fmt.Errorf("asking apt for its settings: %w", err)
}
