// Package usersession is the login session that a user's commands join: that of
// a process which systemd starts as the user, through PAM, and which only
// waits. What PAM and logind gave to it is taken over from there.
package usersession

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/guestd/cgroup"
)

// Unit is the template of the unit whose process has the session; its instance
// is a user's ID.
const Unit = "banger-session@.service"

// taken are the variables that a command has from the session. Others it has
// from its login, or they are the process's own.
var taken = []string{"XDG_SESSION_ID", "XDG_SESSION_TYPE", "XDG_SESSION_CLASS"}

// maxValue is more than any value of them is long.
const maxValue = 64

// Session is what a command has of it.
type Session struct {
	Env []string // NAME=VALUE
	// Groups are cgroups in the session's; nil where logind made none.
	Groups *cgroup.Pool
	Limits Limits
}

// Limits are resource limits, by their number, that are others than those of
// a command without a session.
type Limits map[int]unix.Rlimit

// Config says where things are. Zero values take the defaults.
type Config struct {
	Proc       string // /proc
	CgroupRoot string // /sys/fs/cgroup
}

// Sessions are those of all users.
type Sessions struct {
	log *slog.Logger
	cfg Config

	mu    sync.Mutex
	plain map[int]unix.Rlimit // what a command has without; nil while that is not known
	of    map[uint32]*Session
}

// New makes Sessions that has none.
func New(log *slog.Logger, cfg Config) *Sessions {
	if cfg.Proc == "" {
		cfg.Proc = "/proc"
	}
	if cfg.CgroupRoot == "" {
		cfg.CgroupRoot = "/sys/fs/cgroup"
	}
	return &Sessions{log: log, cfg: cfg, of: map[uint32]*Session{}}
}

// Of is a user's session, nil where there is none, or none yet.
func (s *Sessions) Of(uid uint32) *Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of[uid]
}

// Open asks systemd for a user's session, which Opened will tell of.
func (s *Sessions) Open(uid uint32) error {
	unit := strings.Replace(Unit, "@", "@"+strconv.FormatUint(uint64(uid), 10), 1)
	cmd := exec.Command("systemctl", "start", "--no-block", unit)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("asking systemd for the session of user %d: %w", uid, err)
	}
	plain, err := limits(cmd.Process.Pid) // it is a command like all
	if err != nil {
		s.log.Warn("the limits of commands are not known", "err", err)
	}
	s.mu.Lock()
	s.plain = plain
	s.mu.Unlock()
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("asking systemd for the session of user %d: %w (%.200q)", uid, err, said.String())
	}
	return nil
}

// Opened takes over the session of a process. It takes the place of the one
// that its user had before.
func (s *Sessions) Opened(pid int) error {
	dir := filepath.Join(s.cfg.Proc, strconv.Itoa(pid))
	var st syscall.Stat_t
	if err := syscall.Stat(dir, &st); err != nil {
		return fmt.Errorf("looking at the process of a session: %w", err)
	}
	env, err := os.ReadFile(filepath.Join(dir, "environ"))
	group, err2 := os.ReadFile(filepath.Join(dir, "cgroup"))
	theirs, err3 := limits(pid)
	if err := errors.Join(err, err2, err3); err != nil {
		return fmt.Errorf("looking at the process of a session: %w", err)
	}
	session := &Session{Env: sessionEnv(string(env))}
	if scope := scopeOf(string(group)); scope != "" {
		session.Groups = cgroup.NewIn(filepath.Join(s.cfg.CgroupRoot, scope))
	}
	s.mu.Lock()
	grow(s.plain, theirs)
	session.Limits = others(theirs, s.plain)
	old := s.of[st.Uid]
	s.of[st.Uid] = session
	s.mu.Unlock()
	s.log.Info("a session is open", "uid", st.Uid, "env", session.Env, "limits", len(session.Limits))
	if old != nil && old.Groups != nil {
		_ = old.Groups.Close() // its cgroups are gone, mostly
	}
	return nil
}

// sessionEnv are the variables that are taken of a process's.
func sessionEnv(environ string) (env []string) {
	for kv := range strings.SplitSeq(environ, "\x00") {
		name, value, _ := strings.Cut(kv, "=")
		plain := strings.Trim(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
		if slices.Contains(taken, name) && plain && len(value) <= maxValue {
			env = append(env, kv)
		}
	}
	return env
}

// scopeOf is the cgroup of a session that a process is in, of cgroup v2; "" if
// it is in none.
func scopeOf(cgroups string) string {
	for line := range strings.Lines(cgroups) {
		at, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::/")
		name := path.Base(at)
		if ok && strings.HasPrefix(at, "user.slice/") && path.Clean(at) == at && strings.HasPrefix(name, "session-") && strings.HasSuffix(name, ".scope") {
			return at
		}
	}
	return ""
}

// limits are a process's.
func limits(pid int) (map[int]unix.Rlimit, error) {
	all := map[int]unix.Rlimit{}
	for r := unix.RLIMIT_CPU; r <= unix.RLIMIT_RTTIME; r++ {
		var l unix.Rlimit
		if err := unix.Prlimit(pid, r, nil, &l); err != nil {
			return nil, fmt.Errorf("asking for the limits of process %d: %w", pid, err)
		}
		all[r] = l
	}
	return all, nil
}

// grow makes the session's limits those of the agent, and so of all commands,
// where they are the greater ones: most images have such, and to start a
// command with limits of its own costs more.
func grow(plain, theirs map[int]unix.Rlimit) {
	for r, l := range theirs {
		was, known := plain[r]
		// Go keeps the number of open files that a child gets to itself.
		if !known || l == was || l.Cur < was.Cur || l.Max < was.Max || r == unix.RLIMIT_NOFILE {
			continue
		}
		if unix.Prlimit(0, r, &l, nil) == nil {
			plain[r] = l
		}
	}
}

// others are the limits that differ from those which all commands have.
func others(theirs, plain map[int]unix.Rlimit) Limits {
	if plain == nil {
		return nil
	}
	others := Limits{}
	for r, l := range theirs {
		if l != plain[r] {
			others[r] = l
		}
	}
	return others
}
