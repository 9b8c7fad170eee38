package e2e

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/banger-vm/banger/api"
)

// A VM is restarted, paused and renamed, whoever dies meanwhile, and nothing of
// it is lost by that.
func TestVerbs(t *testing.T) {
	e := private(t)
	e.vm(t, "verbs", "--network", "none")
	id := e.inspect(t, "verbs").ID
	t.Cleanup(func() { e.banger(t, "rm", "-f", id) }) // whatever it is called
	e.ok(t, "exec", "verbs", "--", "sh", "-c", "echo kept >~/kept; echo gone | sudo tee /run/gone >/dev/null")
	t.Run("restart, daemon killed", func(t *testing.T) { e.testRestart(t) })
	t.Run("pause, all killed", func(t *testing.T) { e.testPause(t) })
	t.Run("rename, and restart of a paused VM", func(t *testing.T) { e.testRename(t, id) })
	t.Run("rm of a paused VM", func(t *testing.T) {
		e.ok(t, "pause", "new-name")
		e.ok(t, "rm", "-f", "new-name")
		if left := e.residue(t); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
	})
}

func (e *env) testRestart(t *testing.T) {
	before := e.inspect(t, "verbs").Boot
	op := strings.TrimSpace(e.ok(t, "restart", "--wait=false", "verbs"))
	kill9(t, e.daemonPID(t))
	await(t, "the restart to end", func() bool { return strings.Contains(e.ok(t, "op", "show", op), "succeeded") })
	v := e.inspect(t, "verbs")
	if v.State != api.StateRunning || v.Boot.ID == before.ID || v.Boot.VMMPID == before.VMMPID {
		t.Errorf("it is %s %q, boot %s after %s", v.State, v.Reason, v.Boot.ID, before.ID)
	}
	if out := e.ok(t, "exec", "verbs", "--", "sh", "-c", "cat kept; ls /run/gone 2>&1 || true"); !strings.HasPrefix(out, "kept\n") || !strings.Contains(out, "No such file") {
		t.Errorf("its files: %q", out)
	}
	e.noKill(t)
}

// noKill checks that no guest was killed because it did not stop.
func (e *env) noKill(t *testing.T) {
	t.Helper()
	if out := e.ok(t, "events", "--json", "--since", "0"); strings.Contains(out, `"vm.stop_timeout"`) {
		t.Errorf("its guest was killed")
	}
}

// ticks counts the lines of a command that writes one every 100 ms.
type ticks struct {
	mu   sync.Mutex
	text strings.Builder
	some chan struct{} // closed at the fifth
}

func (k *ticks) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	before := strings.Count(k.text.String(), "\n")
	n, err := k.text.Write(p)
	if before < 5 && strings.Count(k.text.String(), "\n") >= 5 {
		close(k.some)
	}
	return n, err
}

func (k *ticks) all() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.text.String()
}

// A command that runs stands still, though everybody is killed, and goes on
// where it was; a new one is refused.
func (e *env) testPause(t *testing.T) {
	k := &ticks{some: make(chan struct{})}
	stay := func() {
		e.ok(t, "pause", "verbs")
		time.Sleep(300 * time.Millisecond) // for what is on the way
		was := k.all()
		v := e.inspect(t, "verbs")
		kill9(t, e.daemonPID(t))
		kill9(t, v.Boot.MonitorPID)
		await(t, "the next monitor to find it paused", func() bool {
			v := e.inspect(t, "verbs")
			return v.State == api.StatePaused && strings.Contains(v.Reason, "a user paused it") && alive(v.Boot.MonitorPID)
		})
		e.refused(t, 125, []string{"the VM verbs is paused", "banger resume verbs"}, "exec", "verbs", "--", "true")
		time.Sleep(time.Second)
		if now := k.all(); now != was {
			t.Errorf("it ran on: %q", now[len(was):])
		}
		e.ok(t, "pause", "verbs")
		e.ok(t, "resume", "verbs")
	}
	e.into(t, k, k.some, stay, "exec", "verbs", "--", "sh", "-c", "for i in $(seq 40); do echo $i; sleep 0.1; done")
	var want strings.Builder
	for i := range 40 {
		fmt.Fprintln(&want, i+1)
	}
	if got := k.all(); got != want.String() {
		t.Errorf("it wrote %q", got)
	}
	if v := e.inspect(t, "verbs"); v.State != api.StateRunning || v.Reason != "" {
		t.Errorf("it is %s %q", v.State, v.Reason)
	}
}

func (e *env) testRename(t *testing.T, id string) {
	e.refused(t, 3, nil, "rename", "nope", "new-name")
	e.refused(t, 2, []string{"cannot be a VM's name"}, "rename", "verbs", "../x")
	if r := e.banger(t, "rename", "verbs", "new-name"); r.code != 0 || r.stdout != "new-name\n" || !strings.Contains(r.stderr, "host name") {
		t.Errorf("%s", r)
	}
	if v := e.inspect(t, "new-name"); v.ID != id || v.State != api.StateRunning {
		t.Errorf("%s is %s", v.ID, v.State)
	}
	if out := e.ok(t, "exec", "new-name", "--", "hostname"); out != "verbs\n" {
		t.Errorf("its guest is called %q", out)
	}
	e.ok(t, "vm", "create", "-n", "verbs") // the old name is free
	e.refused(t, 4, []string{"already"}, "rename", "verbs", "new-name")
	e.ok(t, "rm", "verbs")

	e.ok(t, "pause", "new-name")
	e.ok(t, "restart", "new-name")
	e.noKill(t)
	if out := e.ok(t, "exec", "new-name", "--", "hostname"); out != "new-name\n" {
		t.Errorf("after a restart its guest is called %q", out)
	}
}
