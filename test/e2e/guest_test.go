package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/banger-vm/banger/api"
)

func TestGuestPanics(t *testing.T) {
	notOnFake(t, noKernel)
	e := common(t)
	e.vm(t, "panics")
	e.banger(t, "exec", "panics", "--", "sudo", "sh", "-c", "echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger")
	await(t, "the end to be seen", func() bool { return e.inspect(t, "panics").State == api.StateFailed })
	if v := e.inspect(t, "panics"); !strings.Contains(v.Reason, "panic") {
		t.Errorf("the reason is %q", v.Reason)
	}
	e.ok(t, "start", "panics")
	e.ok(t, "exec", "panics", "--", "true")
}

func TestGuestPowersOff(t *testing.T) {
	rounds := 3
	if os.Getenv("BANGER_FAULTS") != "" {
		rounds = 50
	}
	e := common(t)
	e.vm(t, "offs")
	for i := range rounds {
		e.ok(t, "start", "offs")
		if i > 0 {
			out := e.ok(t, "exec", "offs", "--", "sh", "-c", "cat ~/n; sudo cat /srv/n; sudo sha256sum -c --quiet ~/sum /srv/sum && echo whole")
			if want := fmt.Sprintf("%d\n%d\nwhole\n", i-1, i-1); out != want {
				t.Fatalf("round %d lost what was written: %q", i, out)
			}
		}
		// No sync: the shutdown itself must flush.
		e.banger(t, "exec", "offs", "--", "sh", "-c", fmt.Sprintf("sudo chown dev /srv; for d in ~ /srv; do head -c 4M /dev/urandom >$d/big; sha256sum $d/big >$d/sum; done; echo %d >~/n; echo %d >/srv/n; until sudo systemctl poweroff 2>/dev/null; do sleep 1; done", i, i))
		await(t, "the VM to be off", func() bool { return e.inspect(t, "offs").State == api.StateStopped })
		if v := e.inspect(t, "offs"); !strings.Contains(v.Reason, "powered itself off") {
			t.Fatalf("round %d: the reason is %q", i, v.Reason)
		}
	}
}

func TestGuestReboots(t *testing.T) {
	e := common(t)
	e.vm(t, "again")
	before := e.inspect(t, "again")
	e.banger(t, "exec", "again", "--", "sh", "-c", "until sudo systemctl reboot 2>/dev/null; do sleep 1; done")
	await(t, "the guest to be back", func() bool {
		v := e.inspect(t, "again")
		return v.State == api.StateRunning && v.Boot.GuestBoot != "" && v.Boot.GuestBoot != before.Boot.GuestBoot
	})
	if out := e.ok(t, "exec", "again", "--", "echo", "on"); out != "on\n" {
		t.Errorf("%q", out)
	}
}

// A guest that never answers is ended in bounded time, with its last words.
func TestGuestNeverAnswers(t *testing.T) {
	notOnFake(t, "it boots before it could be stopped")
	e := private(t)
	if err := e.configure("boot_timeout = \"8s\"\n"); err != nil {
		t.Fatal(err)
	}
	e.ok(t, "vm", "create", "-n", "mute")
	dir := e.inspect(t, "mute").Dir
	ended := make(chan result, 1)
	go func() { ended <- e.banger(t, "start", "mute") }()
	// It hangs as soon as it has said something.
	await(t, "the console's first words", func() bool {
		info, err := os.Stat(filepath.Join(dir, "console.log"))
		return err == nil && info.Size() > 0
	})
	if err := syscall.Kill(e.vmmOf(t, "mute", dir), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	r := <-ended
	// The kernel's clock begins its lines.
	_, tail, ok := strings.Cut(r.stderr, "its console ends with:\n")
	if r.code != 1 || !ok || !strings.Contains(r.stderr, "did not answer in time") || !strings.HasPrefix(strings.TrimSpace(tail), "[ ") {
		t.Errorf("%s", r)
	}
	if v := e.inspect(t, "mute"); v.State != api.StateFailed || !strings.Contains(v.Reason, "did not answer in time") {
		t.Errorf("%s %q", v.State, v.Reason)
	}
	e.ok(t, "rm", "mute")
	if left := e.residue(t); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// vmmOf returns the pid of the VMM that works in a VM's directory.
func (e *env) vmmOf(t *testing.T, name, dir string) int {
	t.Helper()
	procs, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		t.Fatal(err)
	}
	monitor := e.monitorOf(t, name)
	for _, path := range procs {
		at, err := os.Readlink(path)
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil && at == dir && pid != monitor {
			return pid
		}
	}
	t.Fatal("there is no VMM in ", dir)
	return 0
}

func TestMissingKernel(t *testing.T) {
	e := private(t)
	e.ok(t, "vm", "create", "-n", "bare")
	if err := os.Remove(filepath.Join(e.state(), "kernels/default/vmlinux")); err != nil {
		t.Fatal(err)
	}
	r := e.banger(t, "start", "bare")
	if r.code == 0 || !strings.Contains(r.stderr, "kernel") {
		t.Errorf("starting without a kernel: %s", r)
	}
	if v := e.inspect(t, "bare"); v.State != api.StateStopped && v.State != api.StateFailed {
		t.Errorf("then it is %s", v.State)
	}
}

func TestBadInput(t *testing.T) {
	e := common(t)
	e.ok(t, "ls") // a daemon
	long := strings.Repeat("x", 64)
	for _, c := range []struct {
		code int
		want []string
		args []string
	}{
		{125, []string{"nowhere"}, []string{"exec", "nowhere", "--", "true"}},
		{3, []string{"nowhere"}, []string{"start", "nowhere"}},
		{3, []string{"nowhere"}, []string{"image", "inspect", "nowhere"}},
		{125, []string{"nope"}, []string{"run", "--rm", "nope", "--", "true"}},
		{2, []string{"--frobnicate"}, []string{"ls", "--frobnicate"}},
		{1, []string{"hint:"}, []string{"vm", "create", "-n", "../x"}},
		{1, []string{"hint:"}, []string{"vm", "create", "-n", "a b"}},
		{1, []string{"hint:"}, []string{"vm", "create", "-n", long}},
		{1, []string{"hint:", "vCPUs"}, []string{"vm", "create", "-n", "bad", "-c", "500"}},
		{1, []string{"hint:", "memory"}, []string{"vm", "create", "-n", "bad", "-m", "1M"}},
		{1, []string{"hint:", "memory"}, []string{"vm", "create", "-n", "bad", "-m", "10T"}},
		{1, []string{"hint:"}, []string{"vm", "create", "-n", "bad", "--network", "moon"}},
	} {
		r := e.banger(t, c.args...)
		if r.code != c.code && !(c.code == 1 && r.code == 2) {
			t.Errorf("banger %s: want %d: %s", strings.Join(c.args, " "), c.code, r)
		}
		for _, w := range c.want {
			if !strings.Contains(r.stderr, w) {
				t.Errorf("banger %s does not say %q: %s", strings.Join(c.args, " "), w, r.stderr)
			}
		}
	}
	for _, args := range [][]string{{"vm", "create", "-n", ""}, {"vm", "create", "-n", "bad", "-c", "0"}} {
		if r := e.banger(t, args...); r.code == 0 {
			t.Errorf("banger %q was accepted", args)
			e.banger(t, "rm", "bad")
		}
	}
	e.ok(t, "vm", "create", "-n", "taken")
	t.Cleanup(func() { e.banger(t, "rm", "-f", "taken") })
	e.refused(t, 4, []string{"taken"}, "vm", "create", "-n", "taken")
	if out := e.ok(t, "ls", "-a"); strings.Contains(out, "\nbad ") {
		t.Errorf("a refused VM is there: %s", out)
	}
}

func TestWorkDiskSmallerThanItsSkeleton(t *testing.T) {
	e := private(t)
	e.debian(t)
	skels, err := filepath.Glob(filepath.Join(e.state(), "images/*/skel"))
	if err != nil || len(skels) != 1 {
		t.Fatalf("skeletons: %v %v", skels, err)
	}
	if err := os.WriteFile(filepath.Join(skels[0], "big"), make([]byte, 64<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	r := e.banger(t, "vm", "create", "-n", "tight", "--disk", "48M")
	if r.code == 0 || !strings.Contains(r.stderr, "skeleton") && !strings.Contains(r.stderr, "too small") {
		t.Errorf("%s", r)
	}
	if left := e.residue(t); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// A hundred waiting calls on one connection do not hold up a list: the CLI's
// own connection is another, so this one is made by the client package.
func TestLongStalledStreams(t *testing.T) {
	e := common(t)
	e.vm(t, "stalls", "-m", "1G")
	e.stall(t, "stalls", 200)
	if out := e.ok(t, "exec", "stalls", "--", "echo", "on"); out != "on\n" {
		t.Errorf("%q", out)
	}
	if v := e.inspect(t, "stalls"); v.State != api.StateRunning {
		t.Errorf("%s", v.State)
	}
	rss := rssMB(t, e.inspect(t, "stalls").Boot.MonitorPID)
	t.Logf("the monitor's RSS with 400 stalled streams: %d MB", rss)
	if rss > 120 {
		t.Errorf("the monitor grew to %d MB", rss)
	}
}

func rssMB(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			kb, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			return kb >> 10
		}
	}
	return 0
}
