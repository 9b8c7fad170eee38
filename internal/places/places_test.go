package places

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestResolve(t *testing.T) {
	home := map[string]string{"HOME": "/home/ann"}
	session := map[string]string{"HOME": "/home/ann", "XDG_RUNTIME_DIR": "/run/user/7", "XDG_STATE_HOME": "/s", "XDG_CONFIG_HOME": "/c", "XDG_CACHE_HOME": "relative"}
	for _, tc := range []struct {
		name  string
		flags Flags
		env   map[string]string
		uid   int
		want  Places
	}{
		{"root", Flags{}, nil, 0, Places{"/var/lib/banger", "/run/banger", "/run/banger/bangerd.sock", "/var/lib/banger/bangerd.log", "/var/cache/banger", "/etc/banger/config.toml"}},
		{"user without a session", Flags{}, home, 7, Places{"/home/ann/.local/state/banger", "/home/ann/.local/state/banger/run", "/home/ann/.local/state/banger/run/bangerd.sock", "/home/ann/.local/state/banger/bangerd.log", "/home/ann/.cache/banger", "/home/ann/.config/banger/config.toml"}},
		{"user", Flags{}, session, 7, Places{"/s/banger", "/run/user/7/banger", "/run/user/7/banger/bangerd.sock", "/s/banger/bangerd.log", "/home/ann/.cache/banger", "/c/banger/config.toml"}},
		{"a state directory takes its socket along", Flags{StateDir: "/x"}, session, 7, Places{"/x", "/x/run", "/x/run/bangerd.sock", "/x/bangerd.log", "/home/ann/.cache/banger", "/c/banger/config.toml"}},
		{"flags win", Flags{StateDir: "/x", RuntimeDir: "/r", Socket: "/q"}, map[string]string{EnvStateDir: "/e", EnvSocket: "/e2"}, 0, Places{"/x", "/r", "/q", "/x/bangerd.log", "/var/cache/banger", "/etc/banger/config.toml"}},
		{"environment", Flags{}, map[string]string{EnvStateDir: "/e", EnvRuntimeDir: "/r", EnvSocket: "/q", EnvCacheDir: "/ca", EnvConfig: "/cf"}, 0, Places{"/e", "/r", "/q", "/e/bangerd.log", "/ca", "/cf"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Resolve(tc.flags, Env{Getenv: func(k string) string { return tc.env[k] }, UID: tc.uid})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestResolveNowhere(t *testing.T) {
	_, err := Resolve(Flags{}, Env{Getenv: func(string) string { return "" }, UID: 7})
	if err == nil || !strings.Contains(err.Error(), EnvStateDir) {
		t.Errorf("no home: error %v does not name the way out", err)
	}
}

func TestResolveRelative(t *testing.T) {
	t.Chdir(t.TempDir())
	got, err := Resolve(Flags{StateDir: "s"}, Env{Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	wd, _ := os.Getwd()
	if want := filepath.Join(wd, "s", "bangerd.log"); got.LogFile != want {
		t.Errorf("log file %s, want %s", got.LogFile, want)
	}
}

func TestMake(t *testing.T) {
	dir := t.TempDir()
	p := Places{StateDir: filepath.Join(dir, "a", "state"), RuntimeDir: filepath.Join(dir, "a", "state", "run")}
	for range 2 {
		if err := p.Make(); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(p.RuntimeDir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, error %v; want 0700", info.Mode(), err)
	}
	if err := os.Chmod(p.RuntimeDir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := p.Make(); err == nil {
		t.Error("a directory that others may write to was accepted")
	}
}
