package launch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/places"
	"github.com/banger-vm/banger/internal/rpc"
)

// fakeSystemctl notes how it is called, and answers from the environment.
const fakeSystemctl = `#!/bin/sh
echo "$*" >>"$CALLS"
case $2 in
show) printf '%s' "$SHOW" ;;
start) if [ -n "$FAILS" ]; then echo "$FAILS" >&2; echo "See more." >&2; exit 1; fi ;;
esac
`

// underSystemd makes a manager with a systemctl, and the usual places of a user.
func underSystemd(t *testing.T, show, fails string) (manager, places.Env, func() string) {
	t.Helper()
	dir := t.TempDir()
	calls, socket := filepath.Join(dir, "calls"), filepath.Join(dir, "private")
	for path, mode := range map[string]os.FileMode{filepath.Join(dir, "systemctl"): 0o700, socket: 0o600} {
		if err := os.WriteFile(path, []byte(fakeSystemctl), mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("CALLS", calls)
	t.Setenv("SHOW", show)
	t.Setenv("FAILS", fails)
	vars := map[string]string{"HOME": dir, "XDG_RUNTIME_DIR": dir, "BANGER_CACHE_DIR": "/elsewhere"}
	env := places.Env{UID: 1000, Getenv: func(name string) string { return vars[name] }}
	return manager{socket: socket, flags: []string{"--user"}}, env, func() string {
		said, _ := os.ReadFile(calls) // none is no call
		return string(said)
	}
}

const show = "--user show --property=ActiveState,UnitFileState banger.service\n"

func TestUnitThatOwnsTheSocket(t *testing.T) {
	for state, starts := range map[string]bool{
		"ActiveState=inactive\nUnitFileState=enabled\n":        true,
		"ActiveState=failed\nUnitFileState=enabled-runtime\n":  true,
		"ActiveState=activating\nUnitFileState=disabled\n":     true,
		"ActiveState=inactive\nUnitFileState=disabled\n":       false,
		"ActiveState=inactive\nUnitFileState=\n":               false, // there is no such unit
		"ActiveState=inactive\nUnitFileState=masked\n":         false,
		"ActiveState=failed\nUnitFileState=disabled\nOther=no": false,
	} {
		t.Run(state, func(t *testing.T) {
			m, env, calls := underSystemd(t, state, "")
			p, err := places.Resolve(places.Flags{}, env)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(p.RuntimeDir, 0o700); err != nil {
				t.Fatal(err)
			}
			l, err := rpc.Listen(p.Socket, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			want := show
			if starts {
				want += "--user start banger.service\n"
			}
			if done, err := m.startUnit(t.Context(), p, env); done != starts || err != nil || calls() != want {
				t.Errorf("done %v, %v; it called\n%s", done, err, calls())
			}
		})
	}
}

func TestUnitThatDoesNotServe(t *testing.T) {
	for fails, want := range map[string]string{
		"Job for banger.service failed.": "the daemon's unit banger.service did not start: Job for banger.service failed",
		"":                               "does not serve on",
	} {
		m, env, _ := underSystemd(t, "UnitFileState=enabled", fails)
		p, err := places.Resolve(places.Flags{}, env)
		if err != nil {
			t.Fatal(err)
		}
		done, err := m.startUnit(t.Context(), p, env)
		if e, ok := err.(*api.Error); done || !ok || !strings.Contains(e.Message, want) || !strings.Contains(e.Hint, "systemctl --user") {
			t.Errorf("%q: done %v, %#v", fails, done, err)
		}
	}
}

func TestNotForTheUnit(t *testing.T) {
	m, env, calls := underSystemd(t, "UnitFileState=enabled", "")
	for what, flags := range map[string]places.Flags{
		"another state":  {StateDir: "/tmp/other"},
		"another socket": {Socket: "/tmp/other.sock"},
	} {
		p, err := places.Resolve(flags, env)
		if err != nil {
			t.Fatal(err)
		}
		if done, err := m.startUnit(t.Context(), p, env); done || err != nil || calls() != "" {
			t.Errorf("%s: done %v, %v; it called\n%s", what, done, err, calls())
		}
	}
	usual, err := places.Resolve(places.Flags{}, env)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", t.TempDir())
	if done, err := m.startUnit(t.Context(), usual, env); done || err != nil {
		t.Errorf("without systemctl: done %v, %v", done, err)
	}
	m.socket += ".none"
	if done, err := m.startUnit(t.Context(), usual, env); done || err != nil {
		t.Errorf("without systemd: done %v, %v", done, err)
	}
}

func TestManagerOf(t *testing.T) {
	get := func(string) string { return "/run/user/7" }
	if m := managerOf(places.Env{Getenv: get}); m.socket != "/run/systemd/private" || m.command("status") != "systemctl status" {
		t.Errorf("root's: %+v", m)
	}
	if m := managerOf(places.Env{UID: 7, Getenv: get}); m.socket != "/run/user/7/systemd/private" || m.command("status") != "systemctl --user status" {
		t.Errorf("a user's: %+v", m)
	}
}
