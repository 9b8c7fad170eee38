package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/banger-vm/banger/api"
)

// A VM is given more of everything, which a running one has from its next start
// on; then its root is dropped, and its home and its identity stay.
func TestChange(t *testing.T) {
	e := private(t)
	e.vm(t, "alter", "--network", "none", "--label", "team=web", "--disk", "1G")
	t.Run("set", func(t *testing.T) { e.testSet(t) })
	t.Run("reset", func(t *testing.T) { e.testReset(t) })
}

func (e *env) testSet(t *testing.T) {
	r := e.banger(t, "set", "-c", "2", "-m", "768M", "--disk", "3G", "--label", "team=db", "alter")
	later, disk := "cpus, memory", int64(3<<30) // the work disk grows at once
	if os.Getenv("BANGER_FAKE") != "" {         // whose drives do not
		later, disk = "cpus, memory, disk", 1<<30
	}
	if r.code != 0 || r.stdout != "alter\n" || !strings.Contains(r.stderr, "at its next start (banger restart alter): "+later+"\n") {
		t.Fatalf("%s", r)
	}
	v := e.inspect(t, "alter")
	if v.Boot.CPUs != 1 || v.Boot.MemoryBytes != 512<<20 || v.Boot.DiskBytes != disk || v.Spec.CPUs != 2 || strings.Join(v.Pending, ", ") != later || v.Spec.Labels["team"] != "db" {
		t.Errorf("it runs with %+v, is to have %+v, pending %q", v.Boot, v.Spec, v.Pending)
	}
	if os.Getenv("BANGER_FAKE") == "" {
		e.homeHas(t, 3<<30)
	}
	if out := e.ok(t, "inspect", "alter"); !strings.Contains(out, "CPUs:         1\n") || !strings.Contains(out, "768M of memory, at its next start") {
		t.Errorf("%s", out)
	}
	e.refused(t, 2, []string{"cannot become smaller"}, "set", "--disk", "512M", "-c", "3", "alter")
	e.refused(t, 2, []string{"65 vCPUs"}, "set", "-l", "team=db", "-c", "65", "-m", "1G")
	kill9(t, e.daemonPID(t)) // all of it is kept
	e.ok(t, "restart", "alter")
	v = e.inspect(t, "alter")
	if v.Boot.CPUs != 2 || v.Boot.MemoryBytes != 768<<20 || v.Boot.DiskBytes != 3<<30 || len(v.Pending) != 0 || v.Spec.MemoryBytes != 768<<20 {
		t.Errorf("it runs with %+v, is to have %+v, pending %q", v.Boot, v.Spec, v.Pending)
	}
	if info, err := os.Stat(filepath.Join(v.Dir, "work.img")); err != nil || info.Size() != 3<<30 {
		t.Errorf("the work disk: %v, %v", info, err)
	}
	if os.Getenv("BANGER_FAKE") != "" { // its guests have the host's processors
		return
	}
	if out := e.ok(t, "exec", "alter", "--", "nproc"); out != "2\n" {
		t.Errorf("nproc: %s", out)
	}
	kilobytes, err := strconv.Atoi(strings.TrimSpace(e.ok(t, "exec", "alter", "--", "awk", "/^MemTotal/ {print $2}", "/proc/meminfo")))
	if err != nil || kilobytes < 600<<10 || kilobytes > 768<<10 {
		t.Errorf("%d kB of memory, %v", kilobytes, err)
	}
	e.homeHas(t, 3<<30)
}

// homeHas checks that the file system of the guest's home is as large as its disk.
func (e *env) homeHas(t *testing.T, bytes int64) {
	t.Helper()
	if out := e.ok(t, "exec", "alter", "--", "cat", "/sys/block/vdb/size"); out != strconv.FormatInt(bytes/512, 10)+"\n" {
		t.Errorf("the work disk has %s sectors", out)
	}
	kilobytes, err := strconv.ParseInt(strings.TrimSpace(e.ok(t, "exec", "alter", "--", "sh", "-c", "df -kP ~ | awk 'END {print $2}'")), 10, 64)
	if err != nil || kilobytes<<10 < bytes*9/10 || kilobytes<<10 > bytes {
		t.Errorf("the home has %d kB, %v", kilobytes, err)
	}
}

func (e *env) testReset(t *testing.T) {
	const look = "cat /etc/machine-id; cat /etc/ssh/ssh_host_ed25519_key.pub 2>/dev/null; ls /marked 2>/dev/null; cat ~/marked; sudo ls /var/marked 2>/dev/null; true"
	e.ok(t, "exec", "alter", "--", "sh", "-c", "echo home >~/marked; sudo touch /marked /var/marked; sync")
	before := e.ok(t, "exec", "alter", "--", "sh", "-c", look)
	if !strings.Contains(before, "/marked\nhome\n/var/marked\n") {
		t.Fatalf("%q", before)
	}
	e.refused(t, 5, []string{"the VM alter is running", "banger reset -f alter"}, "reset", "alter")
	e.ok(t, "reset", "-f", "alter")
	v := e.inspect(t, "alter")
	if v.State != api.StateRunning || v.Spec.CPUs != 2 {
		t.Errorf("it is %s %q", v.State, v.Reason)
	}
	want := strings.NewReplacer("/marked\nhome\n/var/marked\n", "home\n").Replace(before)
	if after := e.ok(t, "exec", "alter", "--", "sh", "-c", look); after != want {
		t.Errorf("%q\nbecame %q", before, after)
	}
	e.noKill(t)
}

// onFakeOnly skips the test on a VMM whose guests take long to boot.
func onFakeOnly(t *testing.T) *env {
	t.Helper()
	e := private(t)
	if os.Getenv("BANGER_FAKE") == "" {
		t.Skip("only the fake VMM misbehaves when it is asked to, and its daemon takes another boot for the host's")
	}
	return e
}

// A VM whose VMM crashes comes back as its policy has it, whoever is killed
// meanwhile, and not once a user has stopped it.
func TestComeback(t *testing.T) {
	e := onFakeOnly(t)
	e.ok(t, "vm", "create", "-n", "frail", "--restart", "on-failure:3")
	t.Cleanup(func() { e.banger(t, "rm", "-f", "frail") })
	e.order(t, "frail", "running exit")
	e.banger(t, "start", "frail") // it may be up before
	await(t, "it to be given up", func() bool { v := e.inspect(t, "frail"); return v.Comeback != nil && v.Comeback.GaveUp })
	if v := e.inspect(t, "frail"); v.Comeback.Restarts != 3 || v.State == api.StateRunning || !strings.Contains(v.Comeback.Why, "exit code 70") {
		t.Errorf("%+v, %s", v.Comeback, v.State)
	}
	if out := e.ok(t, "inspect", "frail"); !strings.Contains(out, "on-failure:3, 3 times so far, given up: ") {
		t.Errorf("%s", out)
	}
	e.ok(t, "set", "--restart", "always", "frail")
	e.banger(t, "start", "frail")
	await(t, "a pause", func() bool { v := e.inspect(t, "frail"); return v.Comeback != nil && v.Comeback.Restarts >= 2 })
	kill9(t, e.daemonPID(t))
	e.order(t, "frail", "")
	await(t, "it to come back", func() bool { return e.inspect(t, "frail").State == api.StateRunning })
	e.ok(t, "exec", "frail", "--", "true")
	if out := e.ok(t, "events", "--json", "--since", "0"); !strings.Contains(out, "vm.comes_back") || !strings.Contains(out, "vm.stays_down") {
		t.Error("no event tells of it")
	}

	kill9(t, e.vmmOf(t, "frail", e.inspect(t, "frail").Dir))
	await(t, "it to come back again", func() bool {
		v := e.inspect(t, "frail")
		return v.State == api.StateRunning && v.Operation == "" && v.Comeback != nil
	})
	e.ok(t, "stop", "frail")
	kill9(t, e.daemonPID(t))
	e.ok(t, "ls") // the next daemon
	if v := e.inspect(t, "frail"); v.State != api.StateStopped || v.Comeback != nil || v.Operation != "" {
		t.Errorf("stopped by a user it is %s, %+v", v.State, v.Comeback)
	}
}

// rebooted has all that runs end and the next daemon take the host for one that
// was restarted.
func (e *env) rebooted(t *testing.T, boot string) {
	t.Helper()
	var all []int
	for _, name := range strings.Fields(e.ok(t, "ps", "-q")) {
		v := e.inspect(t, name)
		all = append(all, v.Boot.MonitorPID, e.vmmOf(t, v.Name, v.Dir))
	}
	kill9(t, e.daemonPID(t))
	for _, pid := range all {
		kill9(t, pid)
	}
	e.extra = append(e.extra, "BANGER_TEST_HOST_BOOT="+boot)
}

// With the host start those that are marked and those that are to be there
// always; the others say why they do not run.
func TestHostRestart(t *testing.T) {
	e := onFakeOnly(t)
	e.vm(t, "plain")
	e.vm(t, "there", "--restart", "always")
	e.vm(t, "halted", "--restart", "always")
	e.vm(t, "marked", "--autostart")
	e.ok(t, "stop", "halted", "marked")
	e.rebooted(t, "another")
	for _, name := range []string{"there", "marked"} {
		await(t, name+" to start", func() bool { return e.inspect(t, name).State == api.StateRunning })
		e.ok(t, "exec", name, "--", "true")
	}
	if v := e.inspect(t, "plain"); v.State != api.StateStopped || v.Reason != "the host was restarted" {
		t.Errorf("plain is %s: %q", v.State, v.Reason)
	}
	if v := e.inspect(t, "halted"); v.State != api.StateStopped || v.Reason != "" {
		t.Errorf("halted is %s: %q", v.State, v.Reason)
	}
	e.ok(t, "start", "plain")
	e.ok(t, "stop", "marked")
	kill9(t, e.daemonPID(t)) // it is still the same start of the host
	e.ok(t, "ls")
	if v := e.inspect(t, "marked"); v.State != api.StateStopped || v.Operation != "" {
		t.Errorf("marked is %s", v.State)
	}
	e.ok(t, "rm", "-f", "plain", "there", "halted", "marked")
	if left := e.residue(t); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// In a copy of a state directory nothing runs, and what is done there does
// nothing to the original; one that is moved takes what runs along.
func TestCopiedState(t *testing.T) {
	e := onFakeOnly(t)
	e.vm(t, "orig")
	boot := e.inspect(t, "orig").Boot
	kill9(t, e.daemonPID(t)) // its database is whole whenever it is copied
	other := &env{dir: t.TempDir(), extra: e.extra}
	if err := other.configure(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.shutdown)
	if out, err := exec.Command("cp", "-a", e.state(), other.state()).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	v := other.inspect(t, "orig")
	if v.State != api.StateStopped || !strings.Contains(v.Reason, "copied or moved here while it ran: that was in "+e.state()) {
		t.Errorf("the copy is %s: %q", v.State, v.Reason)
	}
	other.ok(t, "kill", "orig")
	other.ok(t, "start", "orig")
	other.ok(t, "exec", "orig", "--", "true")
	if pid := other.inspect(t, "orig").Boot.VMMPID; pid == boot.VMMPID || pid == 0 {
		t.Errorf("its VMM is %d, the original's %d", pid, boot.VMMPID)
	}
	other.ok(t, "rm", "-f", "orig")
	var now api.VM
	if err := json.Unmarshal([]byte(e.ok(t, "inspect", "--json", "orig")), &now); err != nil {
		t.Fatal(err)
	}
	if now.State != api.StateRunning || now.Boot.VMMPID != boot.VMMPID || now.Boot.MonitorPID != boot.MonitorPID {
		t.Errorf("the original is %s %q, %+v", now.State, now.Reason, now.Boot)
	}
	e.ok(t, "exec", "orig", "--", "true")
}
