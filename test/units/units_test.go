package units

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/banger-vm/banger/api"
)

// stopDelay is longer than logind keeps the manager of a user who is gone.
const stopDelay = 12 * time.Second

// maxMonitor bounds a monitor's share of memory (PSS), in kB, as the benchmark does.
const maxMonitor = 15 << 10

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

// login opens a session that lasts until the test ends, and returns its ID.
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
	line, err := bufio.NewReader(out).ReadString('\n')
	id := strings.TrimSpace(line)
	t.Cleanup(func() {
		_ = exec.Command("loginctl", "terminate-session", id).Run() // one that is gone is an error
		cancel()
		_ = cmd.Wait() // killed
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// logOut ends a session, which must be the last, and waits for longer than
// logind does for what ends with it.
func logOut(t *testing.T, id string) {
	t.Helper()
	root(t, "loginctl", "terminate-session", id)
	await(t, "no session to be left", func() bool { return !strings.Contains(root(t, "loginctl", "list-sessions"), user) })
	time.Sleep(stopDelay)
}

func lingers(t *testing.T, yes bool) {
	t.Helper()
	verb := "disable-linger"
	if yes {
		verb = "enable-linger"
	}
	root(t, "loginctl", verb, user)
}

// A VM's life under systemd. Nobody's end ends it or breaks what runs in it:
// not the daemon's, not its monitor's, not that of the session which started
// all; but a logout without lingering does, as was said.
func TestRealLife(t *testing.T) {
	setUp(t)
	lingers(t, false)
	t.Cleanup(func() { lingers(t, true) })
	first := login(t) // keeps the user's manager
	ok(t, "systemctl --user enable --now banger")
	r := within(t, session, "banger run -d -n dev -m 192M "+image)
	if r.code != 0 || !strings.Contains(r.stderr, "loginctl enable-linger") {
		t.Fatalf("run, of a user who does not linger: %s", r)
	}
	begun := look(t, "dev")
	apart(t, begun)
	if d := begun.daemon; d.Unit != "banger.service" || d.Units != "user" || !saysLinger(d.Reduced) || !saysLinger(begun.vm.Reduced) {
		t.Errorf("status: %+v\ninspect: %q", d, begun.vm.Reduced)
	}
	lingers(t, true)
	await(t, "the news to spread", func() bool {
		s := look(t, "dev")
		return !saysLinger(s.vm.Reduced) && !saysLinger(s.daemon.Reduced)
	})
	isSmall(t, begun.vm.Boot.MonitorPID)

	numbers := count(t, "dev")
	numbers.goesOn("its start")
	survives(t, begun.vm, numbers, first)
	numbers.end()
	isSmall(t, look(t, "dev").vm.Boot.MonitorPID) // one that has taken over
	rebootAlone(t)
	logoutWithoutLingering(t)

	ok(t, "banger rm -f dev")
	gone(t)
}

// survives ends all but the VM, again and again.
func survives(t *testing.T, vm api.VM, numbers *stream, session string) {
	t.Helper()
	for _, c := range []struct {
		what string
		do   func(now state)
	}{
		{"a restart of the daemon's unit", func(state) { ok(t, "systemctl --user restart banger") }},
		{"kill -9 of the daemon", func(now state) { kill9(t, now.daemon.PID) }},
		{"kill -9 of the monitor", func(now state) { kill9(t, now.vm.Boot.MonitorPID) }},
		{"kill -9 of both", func(now state) { kill9(t, now.daemon.PID); kill9(t, now.vm.Boot.MonitorPID) }},
		{"the monitor's unit being stopped", func(state) { ok(t, "systemctl --user stop banger-monitor-"+vm.ID) }},
		{"the last logout", func(state) { logOut(t, session) }},
	} {
		c.do(look(t, "dev"))
		numbers.goesOn(c.what)
		var now state
		await(t, "the VM to run", func() bool { // a new monitor has to hear of its guest first
			now = look(t, "dev")
			return now.vm.State == api.StateRunning
		})
		if now.vm.Boot.GuestBoot != vm.Boot.GuestBoot || now.vm.Boot.VMMPID != vm.Boot.VMMPID {
			t.Fatalf("after %s the VM is another one: %+v", c.what, now.vm.Boot)
		}
		apart(t, now)
		if now.daemon.Unit != "banger.service" {
			t.Errorf("after %s the daemon is in %q", c.what, now.daemon.Unit)
		}
	}
}

// rebootAlone has the guest reboot while no daemon looks, and kills its
// monitor then: the new VMM is in the scope from its start, and lives on.
func rebootAlone(t *testing.T) {
	t.Helper()
	ok(t, "banger exec -d dev -- sh -c 'sleep 3; sync; reboot'")
	before := look(t, "dev").vm
	ok(t, "systemctl --user stop banger")
	scope := groupOf(t, before.Boot.VMMPID)
	await(t, "the VMM to be another one", func() bool {
		now := inGroup(t, scope)
		return len(now) > 0 && !slices.Contains(now, before.Boot.VMMPID)
	})
	onlyOurs(t, groupOf(t, before.Boot.MonitorPID))
	kill9(t, before.Boot.MonitorPID)
	await(t, "the guest to be back", func() bool { // look starts the daemon's unit
		now := look(t, "dev").vm
		return now.State == api.StateRunning && now.Boot.GuestBoot != before.Boot.GuestBoot && now.Boot.GuestBoot != ""
	})
	now := look(t, "dev")
	apart(t, now)
	if now.daemon.Unit != "banger.service" {
		t.Errorf("the daemon that a command started is in %q", now.daemon.Unit)
	}
}

// logoutWithoutLingering ends the VM, as was said, and leaves nothing odd.
func logoutWithoutLingering(t *testing.T) {
	t.Helper()
	vm, id := look(t, "dev").vm, login(t)
	lingers(t, false)
	logOut(t, id)
	await(t, "the VM to end with the user's last session", func() bool {
		return !alive(vm.Boot.VMMPID) && !alive(vm.Boot.MonitorPID)
	})
	lingers(t, true)
	await(t, "the user's manager to be back", func() bool { return as(t, "systemctl --user is-active default.target").code == 0 })
	if now := look(t, "dev"); now.vm.State != api.StateStopped || len(now.units) > 0 {
		t.Errorf("the VM is %s: %s; units: %v", now.vm.State, now.vm.Reason, now.units)
	}
}

// apart checks that monitor and VMM are in units of their own, with all that
// the kernel runs for them, and that inspect says so.
func apart(t *testing.T, s state) {
	t.Helper()
	want := []string{"banger-monitor-" + s.vm.ID + ".service", "banger-vmm-" + s.vm.ID + ".scope"}
	if diff := cmp.Diff(want, s.vm.Boot.Units); diff != "" {
		t.Errorf("the units of inspect (-want +got):\n%s\nreduced: %q", diff, s.vm.Reduced)
	}
	if !cmp.Equal(s.units, want) {
		t.Errorf("the manager has %v, want %v", s.units, want)
	}
	for i, pid := range []int{s.vm.Boot.MonitorPID, s.vm.Boot.VMMPID} {
		group := groupOf(t, pid)
		if filepath.Base(group) != want[i] {
			t.Errorf("process %d is in %q, want %s", pid, group, want[i])
		}
		if i == 0 {
			onlyOurs(t, group)
		}
	}
}

// onlyOurs checks that a control group has nothing but bangerd: no VMM, and no
// thread that the kernel runs for one.
func onlyOurs(t *testing.T, group string) {
	t.Helper()
	for _, pid := range inGroup(t, group) {
		if exe, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe"); err != nil || filepath.Base(exe) != "bangerd" {
			t.Errorf("%s holds the process %d of %q, %v", group, pid, exe, err)
		}
	}
}

// gone checks that nothing of a VM is left: no unit, no process, no file.
func gone(t *testing.T) {
	t.Helper()
	begin := time.Now()
	await(t, "no unit to be left", func() bool { return ok(t, listUnits) == "" })
	t.Logf("no unit was left %v after the delete", time.Since(begin).Round(time.Millisecond))
	if left := processes(t, "banger/vms/"); len(left) > 0 {
		t.Errorf("processes are left: %q", left)
	}
	files, err := os.ReadDir(filepath.Join(home, ".local/state/banger/vms"))
	if err != nil || len(files) > 0 {
		t.Errorf("files are left: %v, %v", files, err)
	}
}

// Firecracker's VMM is apart like QEMU's, and what starts it goes with its monitor.
func TestRealFirecracker(t *testing.T) {
	setUp(t)
	binary := os.Getenv("BANGER_FIRECRACKER")
	if _, err := os.Stat(binary); err != nil {
		t.Skip("there is no Firecracker in the test host")
	}
	ok(t, "systemctl --user set-environment BANGER_FIRECRACKER="+binary+"; systemctl --user enable --now banger")
	t.Cleanup(func() { as(t, "systemctl --user unset-environment BANGER_FIRECRACKER") })
	ok(t, "banger run -d -n dev -m 192M --vmm firecracker --network none "+image)
	before := look(t, "dev")
	apart(t, before)
	kill9(t, before.vm.Boot.MonitorPID)
	ok(t, "banger exec dev -- true")
	now := look(t, "dev")
	apart(t, now)
	if now.vm.Boot.VMMPID != before.vm.Boot.VMMPID || now.vm.Boot.GuestBoot != before.vm.Boot.GuestBoot {
		t.Errorf("the VM is another one: %+v", now.vm.Boot)
	}
	ok(t, "banger rm -f dev")
	gone(t)
}

// Who starts the daemon: the unit where it is enabled, the command where it is
// not or something else was asked for.
func TestRealWhoStartsTheDaemon(t *testing.T) {
	setUp(t)
	started := func(where string) string {
		t.Helper()
		r := within(t, session, where+" banger ls && "+where+" banger daemon status --json")
		if r.code != 0 {
			t.Fatal(r)
		}
		_, status, _ := strings.Cut(r.out, "{") // after an empty list
		return decode[api.DaemonStatus](t, "{"+status).Unit
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
	if r := as(t, "banger ls"); r.code != 6 || !strings.Contains(r.stderr, "systemctl --user status banger.service") {
		t.Errorf("a unit that does not start: %s", r)
	}
	ok(t, "chmod 600 ~/.local/state/banger/banger.db; systemctl --user reset-failed banger")
}

func saysLinger(reduced []string) bool {
	return slices.ContainsFunc(reduced, func(s string) bool { return strings.Contains(s, "loginctl enable-linger") })
}

// groupOf is the control group of a process.
func groupOf(t *testing.T, pid int) string {
	t.Helper()
	group, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	_, path, _ := strings.Cut(strings.TrimSpace(string(group)), "::")
	if err != nil || path == "" {
		t.Fatalf("process %d is in %q, %v", pid, group, err)
	}
	return path
}

// inGroup lists the processes in a control group, threads of the kernel's
// included; none if it is gone.
func inGroup(t *testing.T, group string) (pids []int) {
	t.Helper()
	procs, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", group, "cgroup.procs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENODEV) {
		t.Fatal(err)
	}
	for s := range strings.FieldsSeq(string(procs)) {
		pid, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// isSmall waits for a monitor to be as small as one must be that has nothing to
// do: what it needed to do something it gives back some seconds later.
func isSmall(t *testing.T, pid int) {
	t.Helper()
	least := math.MaxInt
	for end := time.Now().Add(15 * time.Second); least > maxMonitor; time.Sleep(500 * time.Millisecond) {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/smaps_rollup")
		if err != nil {
			t.Fatal(err)
		}
		if time.Now().After(end) {
			t.Errorf("a monitor that has nothing to do has %d kB, at most %d were wanted\n%s", least, maxMonitor, text)
			return
		}
		_, rest, _ := strings.Cut(string(text), "\nPss:") // the program itself is everybody's
		size, _, _ := strings.Cut(rest, " kB")
		kB, err := strconv.Atoi(strings.TrimSpace(size))
		if err != nil {
			t.Fatal(err)
		}
		least = min(least, kB)
	}
	t.Logf("the monitor has %d kB", least)
}
