package usersession

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What PAM and logind gave to the process is what commands get.
func TestOpened(t *testing.T) {
	proc, cgroups := t.TempDir(), t.TempDir()
	s := New(slog.New(slog.DiscardHandler), Config{Proc: proc, CgroupRoot: cgroups})
	pid := os.Getpid() // whose limits are asked for
	uid := uint32(os.Geteuid())
	if err := s.Opened(pid); err == nil || s.Of(uid) != nil {
		t.Errorf("a process that is not there: %v", err)
	}
	dir := filepath.Join(proc, strconv.Itoa(pid))
	at := filepath.Join(cgroups, "user.slice/user-1000.slice/session-c1.scope")
	for _, path := range []string{dir, at} {
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"environ": "LD_PRELOAD=/x\x00XDG_SESSION_ID=c1\x00XDG_SESSION_CLASS=us er\x00XDG_SESSION_TYPE=unspecified\x00",
		"cgroup":  "0::/user.slice/user-1000.slice/session-c1.scope\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	own, err := limits(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Opened(pid); err != nil {
		t.Fatal(err)
	}
	if got := s.Of(uid); len(got.Limits) != 0 { // nothing to compare with
		t.Errorf("%+v", got)
	}
	s.plain = map[int]unix.Rlimit{}
	for r, l := range own {
		s.plain[r] = l
	}
	less, more := own[unix.RLIMIT_CORE], own[unix.RLIMIT_NOFILE]
	less.Cur = 0
	s.plain[unix.RLIMIT_CORE] = less // the session's is greater, or the same
	more.Cur++
	s.plain[unix.RLIMIT_NOFILE] = more
	if err := s.Opened(pid); err != nil {
		t.Fatal(err)
	}
	got := s.Of(uid)
	if !slices.Equal(got.Env, []string{"XDG_SESSION_ID=c1", "XDG_SESSION_TYPE=unspecified"}) || got.Groups == nil ||
		len(got.Limits) != 1 || got.Limits[unix.RLIMIT_NOFILE] != own[unix.RLIMIT_NOFILE] || s.plain[unix.RLIMIT_CORE] != own[unix.RLIMIT_CORE] {
		t.Errorf("%+v", got)
	}
	if s.Of(uid+1) != nil {
		t.Error("another user has a session")
	}
}

func TestScopeOf(t *testing.T) {
	for text, want := range map[string]string{
		"0::/user.slice/user-1000.slice/session-3.scope\n":            "user.slice/user-1000.slice/session-3.scope",
		"1:name=x:/y\n0::/user.slice/user-0.slice/session-c1.scope\n": "user.slice/user-0.slice/session-c1.scope",
		"0::/system.slice/banger-session@1000.service\n":              "", // no logind
		"0::/user.slice/../banger/session-1.scope\n":                  "",
		"0::/session-1.scope\n":                                       "",
		"":                                                            "",
	} {
		if got := scopeOf(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func FuzzProcess(f *testing.F) {
	f.Add("XDG_SESSION_ID=1\x00A=b", "0::/user.slice/user-1.slice/session-1.scope\n")
	f.Fuzz(func(t *testing.T, environ, cgroups string) {
		for _, kv := range sessionEnv(environ) {
			if strings.ContainsAny(kv, "\x00\n /") || len(kv) > 128 {
				t.Errorf("%q", kv)
			}
		}
		if at := scopeOf(cgroups); at != "" && !filepath.IsLocal(at) {
			t.Errorf("%q", at)
		}
	})
}
