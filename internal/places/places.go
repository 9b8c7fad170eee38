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
// its runtime directory with it, so that two daemons with different state never
// meet in one socket. The cache stays where it is: it belongs to no state.
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
	p := Places{
		StateDir: "/var/lib/banger", RuntimeDir: "/run/banger",
		CacheDir: "/var/cache/banger", ConfigFile: "/etc/banger/config.toml",
	}
	if env.UID != 0 {
		var err error
		if p, err = ofUser(env); err != nil && state == "" {
			return Places{}, err
		} else if err != nil { // no home: all goes below the given directory
			p = Places{CacheDir: filepath.Join(state, "cache"), ConfigFile: filepath.Join(state, "config.toml")}
		}
	}
	if state != "" {
		p.StateDir, p.RuntimeDir = state, filepath.Join(state, "run")
	}
	return p, nil
}

// ofUser returns the places of an ordinary user.
func ofUser(env Env) (Places, error) {
	var dirs [3]string
	for i, d := range [...][2]string{
		{"XDG_STATE_HOME", ".local/state"}, {"XDG_CACHE_HOME", ".cache"}, {"XDG_CONFIG_HOME", ".config"},
	} {
		base, err := xdg(env, d[0], d[1])
		if err != nil {
			return Places{}, err
		}
		dirs[i] = filepath.Join(base, "banger")
	}
	p := Places{
		StateDir: dirs[0], RuntimeDir: filepath.Join(dirs[0], "run"),
		CacheDir: dirs[1], ConfigFile: filepath.Join(dirs[2], "config.toml"),
	}
	if dir := env.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		p.RuntimeDir = filepath.Join(dir, "banger")
	}
	return p, nil
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
	return CheckPrivate(dir)
}

// The reasons for which CheckPrivate refuses a directory.
var (
	ErrNotDir  = errors.New("it is not a directory")
	ErrForeign = errors.New("it belongs to another user")
	ErrOpen    = errors.New("others may write to it")
)

// unfit is a refusal as people read it, and its reason.
type unfit struct {
	error
	reason error
}

func (u unfit) Is(target error) bool { return target == u.reason }

// CheckPrivate refuses a directory that is not this user's alone to write to;
// fs.ErrNotExist where there is none.
func CheckPrivate(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("looking at the directory %s: %w", dir, err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return unfit{fmt.Errorf("%s is not a directory", dir), ErrNotDir}
	case ok && int(st.Uid) != os.Geteuid():
		return unfit{fmt.Errorf("the directory %s belongs to the user %d, not to %d who runs this", dir, st.Uid, os.Geteuid()), ErrForeign}
	case info.Mode().Perm()&0o022 != 0:
		return unfit{fmt.Errorf("others may write to the directory %s (mode %04o); make it private with: chmod go-w %s", dir, info.Mode().Perm(), dir), ErrOpen}
	}
	return nil
}
