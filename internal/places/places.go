// Package places decides where banger keeps its files, for the daemon and for
// the CLI alike: flags win over the environment, which wins over the habits of
// the system (root) or of XDG (everyone else).
package places

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// The environment variables that override the places.
const (
	EnvStateDir   = "BANGER_STATE_DIR"
	EnvRuntimeDir = "BANGER_RUNTIME_DIR"
	EnvSocket     = "BANGER_SOCKET"
	EnvCacheDir   = "BANGER_CACHE_DIR"
	EnvConfig     = "BANGER_CONFIG"
)

// Flags are the places given on a command line; empty ones are not given.
type Flags struct {
	StateDir   string
	RuntimeDir string
	Socket     string
}

// Env is what the answer depends on besides the flags.
type Env struct {
	Getenv func(string) string
	UID    int
}

// SystemEnv is the environment of this process.
func SystemEnv() Env { return Env{Getenv: os.Getenv, UID: os.Geteuid()} }

// Places are absolute paths.
type Places struct {
	StateDir   string // VMs, images, the store
	RuntimeDir string // what need not outlive a reboot: the daemon's socket
	Socket     string // the daemon's
	LogFile    string // the daemon's
	CacheDir   string // what can be made again
	ConfigFile string // may be missing
}

// Resolve returns the places. A state directory that was chosen by hand takes
// its runtime and cache directories with it, so that two daemons with
// different state never meet in one socket.
func Resolve(f Flags, env Env) (Places, error) {
	get := func(flag, name string) string {
		if flag != "" {
			return flag
		}
		return env.Getenv(name)
	}
	p, err := defaults(env, get(f.StateDir, EnvStateDir))
	if err != nil {
		return Places{}, err
	}
	override(&p.RuntimeDir, get(f.RuntimeDir, EnvRuntimeDir))
	p.Socket = filepath.Join(p.RuntimeDir, "bangerd.sock")
	override(&p.Socket, get(f.Socket, EnvSocket))
	override(&p.CacheDir, get("", EnvCacheDir))
	override(&p.ConfigFile, get("", EnvConfig))
	for _, dir := range []*string{&p.StateDir, &p.RuntimeDir, &p.Socket, &p.CacheDir, &p.ConfigFile} {
		if *dir, err = filepath.Abs(*dir); err != nil {
			return Places{}, fmt.Errorf("making the path %q absolute: %w", *dir, err)
		}
	}
	p.LogFile = filepath.Join(p.StateDir, "bangerd.log")
	return p, nil
}

func override(dst *string, value string) {
	if value != "" {
		*dst = value
	}
}

// defaults returns the places for a state directory, which may be "".
func defaults(env Env, state string) (Places, error) {
	if env.UID == 0 {
		if state != "" {
			return below(state, "/etc/banger/config.toml"), nil
		}
		return Places{
			StateDir: "/var/lib/banger", RuntimeDir: "/run/banger",
			CacheDir: "/var/cache/banger", ConfigFile: "/etc/banger/config.toml",
		}, nil
	}
	config, err := xdg(env, "XDG_CONFIG_HOME", ".config")
	if err != nil {
		return Places{}, err
	}
	config = filepath.Join(config, "banger", "config.toml")
	if state != "" {
		return below(state, config), nil
	}
	base, err := xdg(env, "XDG_STATE_HOME", ".local/state")
	if err != nil {
		return Places{}, err
	}
	p := below(filepath.Join(base, "banger"), config)
	if dir := env.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		p.RuntimeDir = filepath.Join(dir, "banger")
	}
	cache, err := xdg(env, "XDG_CACHE_HOME", ".cache")
	if err != nil {
		return Places{}, err
	}
	p.CacheDir = filepath.Join(cache, "banger")
	return p, nil
}

func below(state, config string) Places {
	return Places{
		StateDir: state, RuntimeDir: filepath.Join(state, "run"),
		CacheDir: filepath.Join(state, "cache"), ConfigFile: config,
	}
}

// xdg returns a base directory of the XDG specification, by which a relative
// value counts as unset.
func xdg(env Env, name, fallback string) (string, error) {
	if dir := env.Getenv(name); filepath.IsAbs(dir) {
		return dir, nil
	}
	if home := env.Getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, fallback), nil
	}
	return "", fmt.Errorf("neither HOME nor %s is set to an absolute path, so there is no place for banger's files; set %s", name, EnvStateDir)
}

// Make makes the state and the runtime directory where they are missing,
// private to this user, and refuses ones that belong to someone else: whoever
// owns them owns the VMs.
func (p Places) Make() error {
	for _, dir := range []string{p.StateDir, p.RuntimeDir} {
		if err := makePrivate(dir); err != nil {
			return err
		}
	}
	return nil
}

func makePrivate(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("making the directory %s: %w", dir, err)
	}
	err := os.Mkdir(dir, 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("making the directory %s: %w", dir, err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("looking at the directory %s: %w", dir, err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case ok && int(st.Uid) != os.Geteuid():
		return fmt.Errorf("the directory %s belongs to the user %d, not to %d who runs this", dir, st.Uid, os.Geteuid())
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("others may write to the directory %s (mode %04o); make it private with: chmod go-w %s", dir, info.Mode().Perm(), dir)
	}
	return nil
}
