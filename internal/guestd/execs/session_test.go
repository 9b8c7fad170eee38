package execs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/guestd/cgroup"
	"github.com/banger-vm/banger/internal/guestd/execs"
	"github.com/banger-vm/banger/internal/guestd/usersession"
)

// A user's commands have what the session has, from their first instruction on;
// others' do not.
func TestASessionIsJoined(t *testing.T) {
	me := uint32(os.Geteuid())
	session := &usersession.Session{
		Env:    []string{"XDG_SESSION_ID=c7"},
		Groups: cgroup.NewIn(filepath.Join(t.TempDir(), "gone")), // as of a session that has ended
		Limits: usersession.Limits{unix.RLIMIT_NOFILE: {Cur: 77, Max: 99}, unix.RLIMIT_CORE: {}},
	}
	r := newRig(t, execs.Config{Session: func(uid uint32) *usersession.Session {
		if uid == me {
			return session
		}
		return nil
	}})
	const script = "ulimit -n; ulimit -Hn; ulimit -c; echo $XDG_SESSION_ID; grep TracerPid /proc/self/status; exit 3"
	for range 20 { // a race would show
		if out, exit := r.run(api.ExecSpec{}, script); exit.Code != 3 || out != "77\n99\n0\nc7\nTracerPid:\t0\n" {
			t.Fatalf("%q, %+v", out, exit)
		}
	}
	if out, _ := r.run(api.ExecSpec{Env: []string{"XDG_SESSION_ID=mine"}}, "echo $XDG_SESSION_ID"); out != "mine\n" {
		t.Errorf("its own variable is %q", out)
	}
	if out, exit := r.run(api.ExecSpec{}, "kill -TERM $$"); exit.Code != 143 {
		t.Errorf("a signal: %q, %+v", out, exit)
	}
	if x, err := r.start(api.ExecSpec{Argv: []string{"/etc/passwd"}}, client.ExecConfig{}).Wait(); err != nil || x.Code != 126 {
		t.Errorf("no program: %+v, %v", x, err)
	}
	if me != 0 {
		return // other users are root's to run as
	}
	if out, _ := r.run(api.ExecSpec{User: "12345"}, "ulimit -n; echo $XDG_SESSION_ID"); strings.HasPrefix(out, "77\n") || strings.Contains(out, "c7") {
		t.Errorf("another user joins it: %q", out)
	}
}

// Nothing is left of a command in a session's cgroup either, and the cgroup
// serves again.
func TestACgroupOfTheSession(t *testing.T) {
	root := cgroupRoot()
	if root == "" {
		t.Skip("cgroup v2 is not mounted here, or this is not root")
	}
	scope := filepath.Join(root, "session-test.scope")
	if err := os.Mkdir(scope, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(scope); err != nil { // it was empty
			t.Error(err)
		}
	})
	session := &usersession.Session{Groups: cgroup.NewIn(scope)}
	r := newRig(t, execs.Config{Session: func(uint32) *usersession.Session { return session }})
	for range 2 {
		out, _ := r.run(api.ExecSpec{}, "cat /proc/self/cgroup; setsid sleep 1000 & sleep 0.1; echo $!")
		if !strings.Contains(out, "/session-test.scope/exec-") {
			t.Errorf("%q", out)
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		eventually(t, "what it left to be gone", func() bool { return !alive(lines[len(lines)-1]) })
	}
	if err := session.Groups.Close(); err != nil {
		t.Error(err)
	}
}
