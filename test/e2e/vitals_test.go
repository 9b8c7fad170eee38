package e2e

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/banger-vm/banger/api"
)

// A VM says how it is; one whose guest or monitor hangs keeps nobody waiting, and
// VMs are chosen by their labels.
func TestVitals(t *testing.T) {
	e := private(t)
	e.ok(t, "run", "-d", "-n", "vital", "--network", "none", "--label", "team=red", "debian")
	t.Cleanup(func() { e.banger(t, "rm", "-f", "vital") })
	t.Run("ping", func(t *testing.T) {
		if out := e.ok(t, "ping", "-c", "3", "-i", "50ms", "vital"); !strings.Contains(out, "3 of 3 answered") {
			t.Errorf("%s", out)
		}
		e.refused(t, 3, []string{"nope"}, "ping", "nope")
	})
	t.Run("health", func(t *testing.T) {
		var h api.VMHealth
		if err := json.Unmarshal([]byte(e.ok(t, "health", "--json", "vital")), &h); err != nil {
			t.Fatal(err)
		}
		if h.UptimeMS <= 0 || h.CPUs < 1 || h.BusyMS <= 0 || h.MemAvail <= 0 || h.RootSize <= 0 || h.WorkSize <= 0 {
			t.Errorf("%+v", h)
		}
	})
	t.Run("hanging", func(t *testing.T) { e.testVitalsHanging(t) })
	t.Run("labels", func(t *testing.T) {
		id := e.inspect(t, "vital").ID
		if out := e.ok(t, "ps", "-q", "-l", "team"); strings.TrimSpace(out) != id {
			t.Errorf("%q", out)
		}
		if out := e.ok(t, "stop", "-l", "team=blue"); out != "" {
			t.Errorf("%q", out)
		}
		if out := e.ok(t, "kill", "-l", "team=red"); out != "vital\n" {
			t.Errorf("%q", out)
		}
		e.refused(t, 5, []string{"is stopped"}, "ping", "vital")
	})
}

// testVitalsHanging stops the VM's monitor, and then sets it going again.
func (e *env) testVitalsHanging(t *testing.T) {
	monitor := e.inspect(t, "vital").Boot.MonitorPID
	if err := syscall.Kill(monitor, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(monitor, syscall.SIGCONT)
	begin := time.Now()
	e.refused(t, 1, []string{"the monitor of vital did not answer within"}, "ping", "-t", "200ms", "vital")
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
	if err := syscall.Kill(monitor, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	e.ok(t, "ping", "vital")
}
