package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/banger-vm/banger/api"
)

func TestRun(t *testing.T) {
	e := common(t)
	r := e.banger(t, "run", "--rm", "debian", "--", "sh", "-c", "uname -r; id -un; hostname; pwd; echo oops >&2; exit 7")
	if r.code != 7 {
		t.Fatalf("the guest's exit code is not banger's: %s", r)
	}
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	if len(lines) != 4 || lines[1] != "dev" || lines[3] != "/home/dev" {
		t.Errorf("stdout: %q", r.stdout)
	}
	if !strings.Contains(r.stderr, "oops\n") || strings.Contains(r.stdout, "oops") {
		t.Errorf("stderr is not apart: %s", r)
	}
	if out := e.ok(t, "ls", "-a", "-q"); strings.Contains(out, lines[2]) {
		t.Errorf("--rm left %s", lines[2])
	}
}

func TestExec(t *testing.T) {
	e := common(t)
	e.vm(t, "exec-a")
	t.Run("binary", func(t *testing.T) {
		data := make([]byte, 3<<20)
		seed := rand.NewChaCha8([32]byte{1})
		seed.Read(data)
		r := e.bangerIn(t, string(data), "exec", "exec-a", "--", "cat")
		if r.code != 0 || r.stdout != string(data) {
			t.Errorf("cat gave back %d of %d bytes, or others; code %d, %s", len(r.stdout), len(data), r.code, clip(r.stderr))
		}
	})
	t.Run("context", func(t *testing.T) {
		out := e.ok(t, "exec", "-e", "A=b c", "-w", "/tmp", "-u", "root", "exec-a", "--", "sh", "-c", `echo "$A|$PWD|$(id -u)|$HOME"`)
		if out != "b c|/tmp|0|/root\n" {
			t.Errorf("%q", out)
		}
	})
	for name, c := range map[string]struct {
		argv []string
		code int
	}{
		"not found":      {[]string{"no-such-command"}, 127},
		"not executable": {[]string{"/etc/passwd"}, 126},
		"signal":         {[]string{"sh", "-c", "kill -TERM $$"}, 143},
		"false":          {[]string{"false"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			if r := e.banger(t, append([]string{"exec", "exec-a", "--"}, c.argv...)...); r.code != c.code {
				t.Errorf("want %d: %s", c.code, r)
			}
		})
	}
	t.Run("one line of 100 MB", func(t *testing.T) {
		r := e.banger(t, "exec", "exec-a", "--", "sh", "-c", "head -c 100000000 /dev/zero | tr '\\0' x")
		if r.code != 0 || len(r.stdout) != 100_000_000 || strings.Trim(r.stdout, "x") != "" {
			t.Errorf("%d bytes, code %d: %s", len(r.stdout), r.code, clip(r.stderr))
		}
	})
	t.Run("closed pipe", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		defer cancel()
		// head leaves after a line; banger must end, and the guest's yes too.
		cmd := exec.CommandContext(ctx, "sh", "-c", program("banger")+" exec exec-a -- bash -c 'exec -a mark-yes yes' | head -n 1")
		cmd.Env = e.environ()
		out, err := cmd.Output()
		if err != nil || string(out) != "y\n" {
			t.Fatalf("%q, %v", out, err)
		}
		await(t, "the guest's command to be gone", func() bool {
			return e.banger(t, "exec", "exec-a", "--", "pgrep", "-f", "^mark-yes").code == 1
		})
	})
	t.Run("early end of a reader of stdin", func(t *testing.T) {
		r := e.bangerIn(t, strings.Repeat("line\n", 1<<20), "exec", "exec-a", "--", "head", "-n", "1")
		if r.code != 0 || r.stdout != "line\n" {
			t.Errorf("%s", r)
		}
	})
}

// vm makes a running VM that goes with the test.
func (e *env) vm(t *testing.T, name string, flags ...string) {
	t.Helper()
	e.ok(t, append([]string{"vm", "create", "-n", name}, flags...)...)
	e.ok(t, "start", name)
	e.inspect(t, name) // tells what the test runs on
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%+v", e.inspect(t, name))
			e.dump(t)
		}
		if r := e.banger(t, "rm", "-f", name); r.code != 0 && r.code != 3 {
			t.Errorf("removing %s: %s", name, r)
		}
	})
}

func TestLife(t *testing.T) {
	e := common(t)
	e.vm(t, "life", "-m", "1G", "-c", "2", "-p", "0:2222")
	if out := e.ok(t, "exec", "life", "--", "nproc"); out != "2\n" {
		t.Errorf("nproc: %q", out)
	}
	e.ok(t, "exec", "life", "--", "sh", "-c", "echo home > ~/a; echo root | sudo tee /srv/b >/dev/null; sync")
	first := e.inspect(t, "life")
	if first.State != api.StateRunning || first.Boot == nil || first.Boot.GuestBoot == "" {
		t.Fatalf("inspect: %+v", first)
	}
	var versions struct {
		Version   string
		Protocols api.Protocols
		Daemon    struct {
			Version   string
			Protocols api.Protocols
		}
	}
	if err := json.Unmarshal([]byte(e.ok(t, "version", "--json")), &versions); err != nil {
		t.Fatal(err)
	}
	if d := versions.Daemon; d.Version != versions.Version || first.Boot.Agent != versions.Version ||
		d.Protocols != (api.Protocols{API: 1, Stream: 1, Monitor: 1, Agent: 1}) || versions.Protocols != (api.Protocols{API: 1, Stream: 1}) {
		t.Errorf("the versions are %+v, the agent's is %s", versions, first.Boot.Agent)
	}
	tm := first.Boot.Timings
	if tm.DiskMS <= 0 || tm.SpawnMS <= 0 || tm.KernelMS <= 0 || tm.InitMS <= 0 || tm.AgentReadyMS <= 0 {
		t.Errorf("boot timings are missing: %+v", tm)
	}
	e.ok(t, "stop", "life")
	e.ok(t, "stop", "life")
	if v := e.inspect(t, "life"); v.State != api.StateStopped || v.Reason != "" {
		t.Errorf("after a stop: %s %q", v.State, v.Reason)
	}
	e.refused(t, 125, []string{"stopped", "banger start life"}, "exec", "life", "--", "true")
	if r := e.banger(t, "start", "life"); r.code != 0 || !strings.Contains(r.stderr, " leads to port 2222\n") {
		t.Errorf("the port that was chosen is not told: %s", r)
	}
	e.ok(t, "start", "life")
	if out := e.ok(t, "exec", "life", "--", "sh", "-c", "cat ~/a /srv/b"); out != "home\nroot\n" {
		t.Errorf("after a restart: %q", out)
	}
	if again := e.inspect(t, "life"); again.Boot.GuestBoot == first.Boot.GuestBoot {
		t.Errorf("the boot ID did not change")
	}
	e.refused(t, 5, []string{"running", "rm -f"}, "rm", "life")
	e.ok(t, "kill", "life")
	if v := e.inspect(t, "life"); v.State != api.StateStopped || !strings.Contains(v.Reason, "killed") {
		t.Errorf("after a kill: %s %q", v.State, v.Reason)
	}
	e.ok(t, "rm", "life")
	e.refused(t, 3, []string{"life"}, "inspect", "life")
}

func TestIdentity(t *testing.T) {
	notOnFake(t, noSystemd)
	e := common(t)
	e.vm(t, "ident-a")
	e.vm(t, "ident-b")
	seen := make(map[string]string)
	for _, name := range []string{"ident-a", "ident-b"} {
		if out := e.ok(t, "exec", name, "--", "hostname"); out != name+"\n" {
			t.Errorf("hostname: %q", out)
		}
		for _, file := range []string{"/etc/machine-id", "/etc/ssh/ssh_host_ed25519_key.pub"} {
			content := e.ok(t, "exec", name, "--", "cat", file)
			if len(content) < 33 {
				t.Errorf("%s of %s: %q", file, name, content)
			}
			if other := seen[content]; other != "" {
				t.Errorf("%s is the same on %s and %s", file, other, name)
			}
			seen[content] = name
		}
		// systemd's first lines are under this name and this ID: they were set before.
		first := e.ok(t, "exec", name, "--", "sh", "-c",
			"until sudo journalctl -b -q -o export _PID=1 2>/dev/null | grep -a -m 2 -E '^_(HOSTNAME|MACHINE_ID)=' | sort | grep .; do sleep 1; done")
		if id := strings.TrimSpace(e.ok(t, "exec", name, "--", "cat", "/etc/machine-id")); first != "_HOSTNAME="+name+"\n_MACHINE_ID="+id+"\n" {
			t.Errorf("systemd began as %q, this is %s with the ID %s", first, name, id)
		}
		// So was the entropy: the kernel's generator was ready before systemd ran.
		seeded := e.ok(t, "exec", name, "--", "sudo", "sh", "-c", "dmesg | grep -a -m 1 -n -E 'crng init done|systemd\\[1\\]: '")
		if !strings.Contains(seeded, "crng init done") {
			t.Errorf("the random number generator was not ready before systemd: %q", seeded)
		}
		now := e.ok(t, "exec", name, "--", "date", "+%s")
		guest, err := time.ParseDuration(strings.TrimSpace(now) + "s")
		if drift := time.Since(time.Unix(int64(guest.Seconds()), 0)).Abs(); err != nil || drift > 5*time.Second {
			t.Errorf("the clock of %s is off by %s (%v)", name, drift, err)
		}
	}
}

// The agent answers long before systemd has finished, and systemd finishes.
func TestSystemComesUp(t *testing.T) {
	notOnFake(t, noSystemd)
	e := common(t)
	e.vm(t, "systemd")
	e.ok(t, "exec", "systemd", "--", "sh", "-c", "echo kept >/tmp/early")
	await(t, "the system to be ready", func() bool { return e.inspect(t, "systemd").Boot.Timings.SystemReadyMS > 0 })
	tm := e.inspect(t, "systemd").Boot.Timings
	if tm.AgentReadyMS >= tm.SystemReadyMS {
		t.Errorf("the agent was ready after %.0f ms, the system after %.0f", tm.AgentReadyMS, tm.SystemReadyMS)
	}
	if out := e.ok(t, "exec", "systemd", "--", "systemctl", "is-active", "ssh"); out != "active\n" {
		t.Errorf("sshd: %q", out)
	}
	if out := e.ok(t, "exec", "systemd", "--", "cat", "/tmp/early"); out != "kept\n" {
		t.Errorf("what was written to /tmp before systemd was up: %q", out)
	}
	if r := e.banger(t, "exec", "systemd", "--", "systemctl", "--failed", "--plain", "--no-legend"); strings.TrimSpace(r.stdout) != "" {
		t.Errorf("failed units: %s", r)
	}
}

func TestDetached(t *testing.T) {
	e := common(t)
	e.ok(t, "run", "-d", "-n", "web", "debian", "--", "sh", "-c", "echo up; sleep 1000")
	t.Cleanup(func() { e.banger(t, "rm", "-f", "web") })
	await(t, "the command to run", func() bool {
		return e.banger(t, "exec", "web", "--", "pgrep", "-f", "^sleep 1000").code == 0
	})
}

func TestCopyDisk(t *testing.T) {
	e := common(t)
	e.vm(t, "copied", "--disk-driver", "copy")
	out := e.ok(t, "exec", "copied", "--", "findmnt", "-no", "SOURCE", "/")
	if strings.TrimSpace(out) != "/dev/vda" {
		t.Errorf("root is %q", out)
	}
	e.ok(t, "exec", "copied", "--", "sh", "-c", "echo kept | sudo tee /srv/a")
	e.ok(t, "stop", "copied")
	e.ok(t, "start", "copied")
	if out := e.ok(t, "exec", "copied", "--", "cat", "/srv/a"); out != "kept\n" {
		t.Errorf("%q", out)
	}
}

// A kernel that changes its own scheduler, again and again, while all its
// processors run it, goes on.
func TestSeveralProcessors(t *testing.T) {
	notOnFake(t, noKernel)
	e := common(t)
	e.vm(t, "several", "-c", "2")
	out := e.ok(t, "exec", "several", "--", "sudo", "bash", "-c", `nproc
(while sleep 0.0005; do :; done) & busy=$!
for ((i = 1; i <= 400; i++)); do echo $((i % 2)) >/proc/sys/kernel/sched_schedstats; done
kill $busy
cat /proc/sys/kernel/sched_schedstats`)
	if out != "2\n0\n" {
		t.Errorf("the guest says %q", out)
	}
}

func TestNoNetwork(t *testing.T) {
	notOnFake(t, noCard)
	e := common(t)
	e.vm(t, "lonely", "--network", "none")
	if out := e.ok(t, "exec", "lonely", "--", "ls", "/sys/class/net"); strings.TrimSpace(out) != "lo" {
		t.Errorf("interfaces: %q", out)
	}
}

func TestSecondDaemon(t *testing.T) {
	e := common(t)
	pid := e.daemonPID(t)
	cmd := exec.Command(program("bangerd"))
	cmd.Env = append(e.environ(), "BANGER_RUNTIME_DIR="+t.TempDir())
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Run(); err == nil {
		t.Fatal("a second daemon ran on the same state")
	}
	if text := errs.String(); !strings.Contains(text, "another daemon") || !strings.Contains(text, "hint:") {
		t.Errorf("it says: %s", text)
	}
	if again := e.daemonPID(t); again != pid {
		t.Errorf("the first daemon was replaced")
	}
}

func TestDaemonStopLeavesVMs(t *testing.T) {
	e := private(t)
	e.vm(t, "stays")
	before := e.inspect(t, "stays")
	if want := unitsOf(before); !cmp.Equal(before.Boot.Units, want) {
		t.Errorf("it is in the units %v, want %v; reduced: %q", before.Boot.Units, want, before.Reduced)
	}
	e.ok(t, "daemon", "stop")
	if !alive(before.Boot.VMMPID) || !alive(before.Boot.MonitorPID) {
		t.Fatal("a clean stop of the daemon ended the VM")
	}
	e.refused(t, 6, []string{"no daemon"}, "daemon", "status")
	if out := e.ok(t, "exec", "stays", "--", "echo", "on"); out != "on\n" { // starts a daemon
		t.Errorf("%q", out)
	}
	if after := e.inspect(t, "stays"); after.Boot.GuestBoot != before.Boot.GuestBoot || after.State != api.StateRunning {
		t.Errorf("after the restart: %s, %+v", after.State, after.Boot)
	}
}

func TestEvents(t *testing.T) {
	e := common(t)
	e.vm(t, "told")
	id := e.inspect(t, "told").ID
	var kinds []string
	for line := range strings.Lines(e.ok(t, "events", "--json", "--since", "0")) {
		var ev api.Event
		if err := json.Unmarshal([]byte(line), &ev); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		if ev.Target == "vm/"+id || ev.Operation != nil && ev.Operation.Target == "vm/"+id {
			kinds = append(kinds, ev.Type)
		}
	}
	all := strings.Join(kinds, " ")
	for _, want := range []string{"op.started", "op.finished", "vm.running"} {
		if !strings.Contains(all, want) {
			t.Errorf("there is no %s in: %s", want, all)
		}
	}
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func TestCtrlCDuringCreate(t *testing.T) {
	notOnFake(t, "it boots before it could be interrupted")
	e := private(t)
	e.debian(t)
	for name, c := range map[string]struct {
		args   []string
		moment func(name string) bool
	}{
		"at once":         {[]string{"run", "--rm"}, func(name string) bool { return e.inspect(t, name).State == api.StateCreating }},
		"during the boot": {[]string{"run", "--rm"}, func(name string) bool { return e.monitorOf(t, name) > 0 }},
		"without --rm":    {[]string{"run"}, func(name string) bool { return e.monitorOf(t, name) > 0 }},
	} {
		t.Run(name, func(t *testing.T) {
			vm := "given-up-" + strings.Trim(strings.NewReplacer(" ", "-", "--", "").Replace(name), "-")
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			cmd := e.command(ctx, append(c.args, "-n", vm, "debian", "--", "true")...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			await(t, "the moment", func() bool { return c.moment(vm) })
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != 130 {
				t.Errorf("exit code %d, want 130", code)
			}
			await(t, "nothing to be left", func() bool { return len(e.residue(t)) == 0 })
			if out := e.ok(t, "ls", "-a", "-q"); out != "" {
				t.Errorf("left: %s", out)
			}
		})
	}
}
