package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/rpc"
)

// order has the fake VMM of a VM misbehave from its next start on; "" ends that.
func (e *env) order(t *testing.T, name, faults string) {
	t.Helper()
	path := filepath.Join(e.inspect(t, name).Dir, "fake.faults")
	if err := os.WriteFile(path, []byte(faults+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A VMM that misbehaves ends a VM with the reason, and no other one; the VM
// starts when it no longer does.
func TestVMMFaults(t *testing.T) {
	e := private(t)
	if os.Getenv("BANGER_FAKE") == "" {
		t.Skip("only the fake VMM misbehaves when it is asked to")
	}
	e.vm(t, "well")
	for _, c := range []struct{ fault, says string }{
		{"spawn exit", "exit code 70"},
		{"greet exit", "exit code 70"},
		{"start exit", "a fault at start ends it"},
		{"start fail", "a fault at start was wanted"},
		{"started exit", "a fault at started ends it"},
	} {
		t.Run(c.fault, func(t *testing.T) {
			name := "ill-" + strings.ReplaceAll(c.fault, " ", "-")
			e.ok(t, "vm", "create", "-n", name)
			e.order(t, name, c.fault)
			e.refused(t, 1, []string{c.says}, "start", name)
			if v := e.inspect(t, name); v.State != api.StateFailed || !strings.Contains(v.Reason, c.says) {
				t.Errorf("it is %s: %q", v.State, v.Reason)
			}
			e.order(t, name, "")
			e.ok(t, "start", name)
			e.ok(t, "exec", name, "--", "true")
			e.ok(t, "rm", "-f", name)
		})
	}
	t.Run("it ends while it runs", func(t *testing.T) {
		e.ok(t, "vm", "create", "-n", "frail")
		e.order(t, "frail", "running exit")
		e.banger(t, "start", "frail") // it may be up before
		await(t, "the end to be seen", func() bool {
			v := e.inspect(t, "frail")
			return v.State != api.StateRunning && v.Operation == "" && strings.Contains(v.Reason, "exit code 70")
		})
		e.ok(t, "rm", "frail")
	})
	t.Run("it outlives its guest", func(t *testing.T) {
		e.ok(t, "vm", "create", "-n", "tough")
		e.order(t, "tough", "end hang")
		e.ok(t, "start", "tough")
		e.ok(t, "stop", "tough")
		// Where the guest's last word is lost with it, nobody knows that it is not just slow.
		if v := e.inspect(t, "tough"); v.State != api.StateStopped || v.Reason != "" && v.Reason != "it was killed" {
			t.Errorf("it is %s: %q", v.State, v.Reason)
		}
		e.ok(t, "rm", "tough")
	})
	t.Run("it is slow", func(t *testing.T) {
		e.ok(t, "vm", "create", "-n", "slow")
		e.order(t, "slow", "start 2s")
		began := time.Now()
		e.ok(t, "start", "slow")
		if took := time.Since(began); took < 2*time.Second {
			t.Errorf("it started within %v", took)
		}
		e.ok(t, "rm", "-f", "slow")
	})
	t.Run("it hangs", func(t *testing.T) { e.testHangingStart(t) })
	e.ok(t, "exec", "well", "--", "true")
	e.ok(t, "rm", "-f", "well")
	if left := e.residue(t); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// A start that hangs holds up nobody else: no list, no other start.
func (e *env) testHangingStart(t *testing.T) {
	conn, err := rpc.Dial(t.Context(), e.socket())
	if err != nil {
		t.Fatal(err)
	}
	c := rpc.NewClient(conn)
	defer c.Close()
	list := func() time.Duration { // the best of many: what it takes undisturbed
		best := time.Hour
		for range 50 {
			began := time.Now()
			if err := c.Call(t.Context(), api.MethodVMList, api.VMListRequest{All: true}, new(api.VMList)); err != nil {
				t.Fatal(err)
			}
			best = min(best, time.Since(began))
		}
		return best
	}
	e.ok(t, "vm", "create", "-n", "stuck")
	e.ok(t, "vm", "create", "-n", "beside")
	e.order(t, "stuck", "start hang")
	before := list()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	start := e.command(ctx, "start", "stuck")
	if err := start.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, "a monitor", func() bool { return e.monitorOf(t, "stuck") > 0 })
	if during := list(); during > before+5*time.Millisecond {
		t.Errorf("beside a start that hangs a list takes %v, else %v", during, before)
	}
	began := time.Now()
	e.ok(t, "start", "beside")
	if took := time.Since(began); took > 20*time.Second { // a driver gives up on its VMM after 30
		t.Errorf("beside a start that hangs another one takes %v", took)
	}
	if v := e.inspect(t, "stuck"); v.State != api.StateStarting {
		t.Errorf("the one that hangs is %s", v.State)
	}
	kill9(t, e.vmmOf(t, "stuck", e.inspect(t, "stuck").Dir))
	if err := start.Wait(); err == nil {
		t.Error("a start whose VMM was killed succeeded")
	}
	if v := e.inspect(t, "stuck"); v.State != api.StateFailed || !strings.Contains(v.Reason, "killed") {
		t.Errorf("then it is %s: %q", v.State, v.Reason)
	}
	e.ok(t, "rm", "stuck")
	e.ok(t, "rm", "-f", "beside")
}
