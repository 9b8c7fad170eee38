package execs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/guestd/cgroup"
	"github.com/banger-vm/banger/internal/guestd/login"
	"github.com/banger-vm/banger/internal/guestd/usersession"
)

// The exit codes of a command that could not be run, as shells have them.
const (
	codeBanger     = 125
	codeNoExec     = 126
	codeNotFound   = 127
	maxCommandName = 128 // of it in a message
)

// plan is a command with all looked up that it needs.
type plan struct {
	spec *api.ExecSpec
	user *login.User
	env  []string

	session *usersession.Session // nil: it joins none
}

func (s *Server) plan(spec *api.ExecSpec) (*plan, *wire.ExecFail) {
	who := spec.User
	if who == "" {
		if who = s.cfg.User(); who == "" {
			who = "root"
		}
	}
	u, found := s.logins.Lookup(who)
	if !found {
		return nil, invalid("Take another with -u, for instance -u root.", "there is no user %.64q in this guest", who)
	}
	p := &plan{spec: spec, user: u, session: s.cfg.Session(u.UID)}
	own := spec.Env
	if p.session != nil {
		own = slices.Concat(p.session.Env, own)
	}
	p.env = s.logins.Env(u, spec.TTY, own)
	return p, nil
}

// run starts the command. An error comes with the exit code that stands for it.
func (s *Server) run(p *plan) (*process, int, error) {
	cwd, err := p.cwd()
	if err != nil {
		return nil, codeNoExec, err
	}
	path, argv, code, err := p.command(cwd)
	if err != nil {
		return nil, code, err
	}
	theirs, proc, err := p.files()
	if err != nil {
		return nil, codeBanger, err
	}
	defer closeFDs(theirs) // the command has its own
	attr := &syscall.ProcAttr{Dir: cwd, Env: p.env, Files: theirs}
	for tries := 0; ; tries++ {
		proc.groups, proc.cgroup = s.takeGroup(p, tries > 0)
		attr.Sys = p.attributes(proc.cgroup)
		proc.child, err = s.forker.start(path, argv, attr, p.limits())
		if proc.cgroup == nil || !errors.Is(err, syscall.ENODEV) || tries == removedTwice {
			break
		}
		_ = proc.cgroup.Remove() // it was removed under us
	}
	if err != nil {
		proc.abort()
		code, err = startError(path, cwd, err)
		return nil, code, err
	}
	return proc, 0, nil
}

// removedTwice: the session may have ended, and another hierarchy of cgroups
// may have been mounted over the one we knew.
const removedTwice = 2

// takeGroup takes a cgroup for a command: in its session, if that has any.
func (s *Server) takeGroup(p *plan, ended bool) (*cgroup.Pool, *cgroup.Group) {
	if p.session != nil && p.session.Groups != nil && !ended {
		if g := p.session.Groups.Take(); g != nil {
			return p.session.Groups, g
		}
	}
	return s.cgroups, s.cgroups.Take()
}

func (p *plan) limits() usersession.Limits {
	if p.session == nil {
		return nil
	}
	return p.session.Limits
}

func (p *plan) attributes(group *cgroup.Group) *syscall.SysProcAttr {
	sys := &syscall.SysProcAttr{Setsid: true, Setctty: p.spec.TTY}
	if group != nil {
		sys.UseCgroupFD, sys.CgroupFD = true, group.FD()
	}
	if euid := os.Geteuid(); int(p.user.UID) != euid || euid == 0 {
		sys.Credential = &syscall.Credential{Uid: p.user.UID, Gid: p.user.GID, Groups: p.user.Groups}
	}
	return sys
}

// cwd is where the command starts; a home that is not there is no reason not to.
func (p *plan) cwd() (string, error) {
	if p.spec.Cwd == "" {
		if info, err := os.Stat(p.user.Home); err == nil && info.IsDir() {
			return p.user.Home, nil
		}
		return "/", nil
	}
	cwd := p.spec.Cwd
	if !filepath.IsAbs(cwd) {
		cwd = filepath.Join(p.user.Home, cwd)
	}
	info, err := os.Stat(cwd)
	if err != nil {
		return "", fmt.Errorf("the working directory %.256q cannot be used: %w", cwd, errno(err))
	}
	if !info.IsDir() {
		return "", fmt.Errorf("the working directory %.256q is not a directory", cwd)
	}
	return cwd, nil
}

// command finds the program. Without one it is the user's login shell.
func (p *plan) command(cwd string) (path string, argv []string, code int, err error) {
	argv = p.spec.Argv
	if len(argv) == 0 {
		return p.user.Shell, []string{"-" + filepath.Base(p.user.Shell)}, 0, nil
	}
	name := argv[0]
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(cwd, name)
		}
		return name, argv, 0, nil
	}
	denied := false
	for dir := range strings.SplitSeq(p.path(), ":") {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(cwd, dir)
		}
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.IsDir() {
			continue
		}
		if info.Mode()&0o111 != 0 {
			return filepath.Join(dir, name), argv, 0, nil
		}
		denied = true
	}
	name = name[:min(len(name), maxCommandName)]
	if denied {
		return "", nil, codeNoExec, fmt.Errorf("%q is not executable", name)
	}
	return "", nil, codeNotFound, fmt.Errorf("there is no command %q in the guest", name)
}

func (p *plan) path() string {
	for _, kv := range p.env {
		if path, ok := strings.CutPrefix(kv, "PATH="); ok {
			return path
		}
	}
	return login.DefaultPath
}

// startError tells what exec's error means.
func startError(path, cwd string, err error) (int, error) {
	name := path[:min(len(path), maxCommandName)]
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		if _, statErr := os.Stat(path); statErr == nil {
			return codeNotFound, fmt.Errorf("%q cannot be run: its interpreter is not in the guest", name)
		}
		return codeNotFound, fmt.Errorf("there is no %q in the guest", name)
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.ENOMEM):
		return codeBanger, fmt.Errorf("the guest cannot start another process: %w", errno(err))
	case errors.Is(err, fs.ErrPermission):
		return codeNoExec, fmt.Errorf("%q cannot be run in %.128q: %w", name, cwd, errno(err))
	}
	return codeNoExec, fmt.Errorf("%q cannot be run: %w", name, errno(err))
}

// errno is the bare reason in err.
func errno(err error) error {
	var e syscall.Errno
	if errors.As(err, &e) {
		return e
	}
	return err
}
