package units

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/banger-vm/banger/api"
)

const home = "/home/" + user

// setUp installs banger and seeds the user's state.
func setUp(t *testing.T) {
	t.Helper()
	inHost(t)
	install(t)
	state := filepath.Join(home, ".local/state/banger")
	seed(t, state)
	root(t, "chown", "-R", user+":", home)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s", as(t, "cat ~/.local/state/banger/*.log ~/.local/state/banger/vms/*/*.log").out)
			t.Logf("%s", root(t, "journalctl", "-n", "100", "--no-pager", "-o", "short-precise"))
		}
		as(t, "systemctl --user disable --now banger; banger ls -a -q | xargs -r banger rm -f; banger daemon stop")
		root(t, "rm", "-rf", state)
	})
}

// login opens a session that lasts, and returns its ID.
func login(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := session(ctx, "echo $XDG_SESSION_ID; exec sleep 100000")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() }) // it is killed
	id, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(id)
}

// apart checks that monitor and VMM are in units of their own, and says so.
func apart(t *testing.T, vm api.VM) {
	t.Helper()
	want := []string{"banger-monitor-" + vm.ID + ".service", "banger-vmm-" + vm.ID + ".scope"}
	if diff := cmp.Diff(want, vm.Boot.Units); diff != "" {
		t.Errorf("the units of inspect (-want +got):\n%s\nreduced: %q", diff, vm.Reduced)
	}
	for i, pid := range []int{vm.Boot.MonitorPID, vm.Boot.VMMPID} {
		group, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
		if err != nil || filepath.Base(strings.TrimSpace(string(group))) != want[i] {
			t.Errorf("process %d is in %q, %v; want %s", pid, group, err, want[i])
		}
	}
	if left := userUnits(t); !cmp.Equal(left, want) {
		t.Errorf("the manager has %v, want %v", left, want)
	}
}

// Nobody's end ends the VM or breaks what runs in it: not the daemon's, not the
// monitor's, not that of the session which started all.
func TestRealUnits(t *testing.T) {
	setUp(t)
	root(t, "loginctl", "disable-linger", user)
	t.Cleanup(func() { root(t, "loginctl", "enable-linger", user) })
	elsewhere := login(t) // keeps the user's manager
	ok(t, "systemctl --user enable --now banger")
	r := as(t, "banger run -d -n dev -m 192M "+image)
	if r.code != 0 || !strings.Contains(r.stderr, "loginctl enable-linger") {
		t.Fatalf("run, of a user who does not linger: %s", r)
	}
	vm := inspect(t, "dev")
	apart(t, vm)
	s := status(t)
	if s.Unit != "banger.service" || s.Units != "user" || !saysLinger(s.Reduced) || !saysLinger(vm.Reduced) {
		t.Errorf("status: %+v\ninspect: %q", s, vm.Reduced)
	}
	root(t, "loginctl", "enable-linger", user)
	await(t, "the news to spread", func() bool { return !saysLinger(inspect(t, "dev").Reduced) })
	if s := status(t); len(s.Reduced) > 0 {
		t.Errorf("status of a user who lingers: %q", s.Reduced)
	}
	t.Logf("RSS of the monitor: %s", rss(t, vm.Boot.MonitorPID))
	numbers := count(t, "dev")
	numbers.goesOn("its start")
	survives(t, vm, numbers, elsewhere)

	ok(t, "banger rm -f dev")
	gone(t)
}

// survives ends all but the VM, again and again.
func survives(t *testing.T, vm api.VM, numbers *stream, elsewhere string) {
	t.Helper()
	for _, c := range []struct {
		what string
		do   func(now api.VM)
	}{
		{"a restart of the daemon's unit", func(api.VM) { ok(t, "systemctl --user restart banger") }},
		{"kill -9 of the daemon", func(api.VM) { kill9(t, status(t).PID) }},
		{"kill -9 of the monitor", func(now api.VM) { kill9(t, now.Boot.MonitorPID) }},
		{"kill -9 of both", func(now api.VM) { kill9(t, status(t).PID); kill9(t, now.Boot.MonitorPID) }},
		{"the monitor's unit being stopped", func(api.VM) { ok(t, "systemctl --user stop banger-monitor-"+vm.ID) }},
		{"a logout", func(api.VM) { root(t, "loginctl", "terminate-session", elsewhere) }},
	} {
		c.do(inspect(t, "dev"))
		numbers.goesOn(c.what)
		now := inspect(t, "dev")
		if now.State != api.StateRunning || now.Boot.GuestBoot != vm.Boot.GuestBoot || now.Boot.VMMPID != vm.Boot.VMMPID {
			t.Fatalf("after %s the VM is %s, %s: %+v", c.what, now.State, now.Reason, now.Boot)
		}
		apart(t, now)
		if s := status(t); s.Unit != "banger.service" {
			t.Errorf("after %s the daemon is in %q", c.what, s.Unit)
		}
	}
}

// A guest that reboots while no daemon looks gets a new VMM in its monitor's
// unit. Its monitor is killed too: the VMM lives on and is put right.
func TestRealRebootWithoutADaemon(t *testing.T) {
	setUp(t)
	ok(t, "systemctl --user enable --now banger")
	ok(t, "banger run -d -n again -m 192M "+image+" -- sh -c 'sleep 5; sync; reboot'")
	vm := inspect(t, "again")
	ok(t, "systemctl --user stop banger")
	monitor := vm.Boot.MonitorPID
	await(t, "the VMM to be another one", func() bool { return !alive(vm.Boot.VMMPID) && len(inGroup(t, monitor)) > 1 })
	kill9(t, monitor)
	if r := as(t, "systemctl --user is-active banger-monitor-"+vm.ID); r.out == "active\n" {
		t.Errorf("the monitor's unit: %s", r)
	}
	await(t, "the guest to be back", func() bool { // inspect starts the daemon's unit
		v := inspect(t, "again")
		return v.State == api.StateRunning && v.Boot.GuestBoot != vm.Boot.GuestBoot && v.Boot.GuestBoot != ""
	})
	apart(t, inspect(t, "again"))
	if s := status(t); s.Unit != "banger.service" {
		t.Errorf("the daemon that a command started is in %q", s.Unit)
	}
	ok(t, "banger rm -f again")
	gone(t)
}

// Without lingering a logout ends the VM, as was said, and leaves nothing odd.
func TestRealLogoutWithoutLingering(t *testing.T) {
	setUp(t)
	ok(t, "banger run -d -n short -m 192M "+image)
	vm := inspect(t, "short")
	apart(t, vm)
	root(t, "loginctl", "disable-linger", user)
	t.Cleanup(func() { root(t, "loginctl", "enable-linger", user) })
	begin := time.Now()
	await(t, "the VM to end with the user's last session", func() bool {
		return !alive(vm.Boot.VMMPID) && !alive(vm.Boot.MonitorPID)
	})
	t.Logf("the VM ended %v after the last logout", time.Since(begin).Round(time.Second))
	root(t, "loginctl", "enable-linger", user)
	if now := inspect(t, "short"); now.State != api.StateStopped {
		t.Errorf("the VM is %s: %s", now.State, now.Reason)
	}
	ok(t, "banger rm short")
	gone(t)
}

// Who starts the daemon: the unit where it is enabled, the command where it is
// not or something else was asked for.
func TestRealWhoStartsTheDaemon(t *testing.T) {
	setUp(t)
	started := func(where string) string {
		t.Helper()
		ok(t, where+" banger ls")
		return decode[api.DaemonStatus](t, ok(t, where+" banger daemon status --json")).Unit
	}
	if unit := started(""); !strings.HasPrefix(unit, "session-") {
		t.Errorf("without an enabled unit the daemon is in %q", unit)
	}
	ok(t, "systemctl --user enable --now banger") // takes the place of the other
	if unit := started(""); unit != "banger.service" {
		t.Errorf("after the unit was started the daemon is in %q", unit)
	}
	ok(t, "banger daemon stop")
	if unit := started(""); unit != "banger.service" {
		t.Errorf("with an enabled unit the daemon is in %q", unit)
	}
	if unit := started("BANGER_STATE_DIR=/tmp/other"); !strings.HasPrefix(unit, "session-") {
		t.Errorf("with another state directory the daemon is in %q", unit)
	}
	ok(t, "BANGER_STATE_DIR=/tmp/other banger daemon stop")
	ok(t, "systemctl --user stop banger; chmod 0 ~/.local/state/banger/banger.db")
	r := as(t, "banger ls")
	if r.code != 6 || !strings.Contains(r.stderr, "systemctl --user status banger.service") {
		t.Errorf("a unit that does not start: %s", r)
	}
	ok(t, "chmod 600 ~/.local/state/banger/banger.db; systemctl --user reset-failed banger")
}

// Root's VMs are in units of the system's manager.
func TestRealRootsUnits(t *testing.T) {
	setUp(t)
	state := filepath.Join(t.TempDir(), "state")
	seed(t, state)
	t.Setenv("BANGER_STATE_DIR", state)
	t.Cleanup(func() { root(t, "banger", "daemon", "stop") })
	root(t, "banger", "run", "-d", "-n", "r", "-m", "192M", image)
	vm := decode[api.VM](t, root(t, "banger", "inspect", "--json", "r"))
	want := []string{"banger-monitor-" + vm.ID + ".service", "banger-vmm-" + vm.ID + ".scope"}
	if got := units(t, root(t, "sh", "-c", listUnits)); !cmp.Equal(got, want) || !cmp.Equal(vm.Boot.Units, want) {
		t.Errorf("the manager has %v, inspect says %v; want %v", got, vm.Boot.Units, want)
	}
	s := decode[api.DaemonStatus](t, root(t, "banger", "daemon", "status", "--json"))
	if s.Units != "system" || len(s.Reduced) > 0 {
		t.Errorf("status: %+v", s)
	}
	root(t, "banger", "rm", "-f", "r")
	await(t, "no unit to be left", func() bool { return len(units(t, root(t, "sh", "-c", listUnits))) == 0 })
}

// gone checks that nothing of a VM is left: no unit, no process, no file.
func gone(t *testing.T) {
	t.Helper()
	begin := time.Now()
	await(t, "no unit to be left", func() bool { return len(userUnits(t)) == 0 })
	t.Logf("no unit was left %v after the delete", time.Since(begin).Round(time.Millisecond))
	if left := processes(t, "banger/vms/"); len(left) > 0 {
		t.Errorf("processes are left: %q", left)
	}
	files, err := os.ReadDir(filepath.Join(home, ".local/state/banger/vms"))
	if err != nil || len(files) > 0 {
		t.Errorf("files are left: %v, %v", files, err)
	}
}

func saysLinger(reduced []string) bool {
	return slices.ContainsFunc(reduced, func(s string) bool { return strings.Contains(s, "loginctl enable-linger") })
}

// inGroup lists the processes in the cgroup of one.
func inGroup(t *testing.T, pid int) []string {
	t.Helper()
	group, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	_, path, _ := strings.Cut(strings.TrimSpace(string(group)), "::")
	procs, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", path, "cgroup.procs"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(procs))
}

func rss(t *testing.T, pid int) string {
	t.Helper()
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if size, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strings.TrimSpace(size)
		}
	}
	t.Fatalf("process %d has no size", pid)
	return ""
}
