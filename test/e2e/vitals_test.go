package e2e

import (
	"encoding/json"
	"os"
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
	t.Run("stats", func(t *testing.T) { e.testStats(t) })
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
	t.Run("prune", func(t *testing.T) { e.testPrune(t) })
}

// sampled is one sample of stats.
func (e *env) sampled(t *testing.T, args ...string) (s struct {
	VMs []struct {
		api.VMStats
		Share *float64 `json:"cpu_percent"`
	} `json:"vms"`
},
) {
	t.Helper()
	if err := json.Unmarshal([]byte(e.ok(t, append([]string{"stats", "--json"}, args...)...)), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func (e *env) testStats(t *testing.T) {
	e.ok(t, "exec", "vital", "--", "sh", "-c", "head -c 4M /dev/urandom >~/big && sync")
	s := e.sampled(t)
	if len(s.VMs) != 1 {
		t.Fatalf("%+v", s)
	}
	v := s.VMs[0]
	if v.Name != "vital" || v.VMM == nil || v.Monitor == nil || v.Guest == nil || v.Share == nil || len(v.Missing) > 0 {
		t.Fatalf("%+v", v)
	}
	if v.VMM.CPUMS <= 0 && os.Getenv("BANGER_FAKE") == "" { // which runs no guest itself
		t.Errorf("%+v", v.VMM)
	}
	if v.VMM.PSS <= 0 || v.Monitor.Resident < 1<<20 || v.Guest.MemTotal <= 0 || v.Timings == nil || v.Timings.AgentReadyMS <= 0 {
		t.Errorf("%+v, %+v, %+v", v.VMM, v.Monitor, v.Timings)
	}
	work, image, own := v.Disks[len(v.Disks)-1], v.Disks[0], int64(0)
	for _, d := range v.Disks[1:] {
		own += d.UsedBytes
	}
	if work.What != "work" || own < 4<<20 || work.UsedBytes <= 0 || work.ApparentBytes < work.UsedBytes || image.What != "image" || !image.Shared || image.UsedBytes <= 0 {
		t.Errorf("%+v", v.Disks)
	}
	if out := e.ok(t, "stats", "--disks", "vital"); !strings.Contains(out, "work") {
		t.Errorf("%s", out)
	}
}

// testPrune removes the VM that was killed, and nothing that runs.
func (e *env) testPrune(t *testing.T) {
	e.ok(t, "create", "-n", "spare", "--network", "none", "--label", "team=red", "debian")
	e.ok(t, "start", "vital")
	if out := e.ok(t, "prune", "--dry-run"); !strings.Contains(out, "spare") || strings.Contains(out, "vital") {
		t.Errorf("%s", out)
	}
	e.refused(t, 2, []string{"nobody can be asked"}, "prune")
	if out := e.ok(t, "prune", "-f", "-l", "team", "-a"); !strings.Contains(out, "freed ") || strings.Contains(out, "image") {
		t.Errorf("%s", out)
	}
	e.refused(t, 3, []string{"spare"}, "inspect", "spare")
	e.ok(t, "ping", "vital")
	e.ok(t, "kill", "vital")
	if out := e.ok(t, "prune", "-f", "-a"); !strings.Contains(out, "vital") || !strings.Contains(out, "kernel ") || !strings.Contains(out, "image ") {
		t.Errorf("%s", out)
	}
	if out := e.ok(t, "ls", "-q") + e.ok(t, "kernel", "ls", "-q") + e.ok(t, "image", "ls", "-q"); out != "" {
		t.Errorf("left: %q", out)
	}
	if left := e.residue(t); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
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
	s := e.sampled(t, "-t", "100ms", "-i", "10ms")
	if len(s.VMs) != 1 || len(s.VMs[0].Missing) == 0 || s.VMs[0].Guest != nil || s.VMs[0].VMM == nil || len(s.VMs[0].Disks) == 0 {
		t.Errorf("stats of one that hangs: %+v", s)
	}
	if err := syscall.Kill(monitor, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	e.ok(t, "ping", "vital")
}
