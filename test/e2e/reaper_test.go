package e2e

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/banger-vm/banger/api"
)

// A daemon puts right what is left over, and touches nothing that only looks
// like banger's.
func TestReaper(t *testing.T) {
	e := private(t)
	db := filepath.Join(e.state(), "banger.db")
	e.vm(t, "back", "-m", "128M", "--network", "none")
	e.ok(t, "stop", "back")
	e.ok(t, "daemon", "stop")
	if err := exec.Command("cp", db, db+".copy").Run(); err != nil {
		t.Fatal(err)
	}
	e.ok(t, "start", "back")
	back := e.inspect(t, "back")
	e.vm(t, "lost", "-m", "128M", "--network", "none")
	lost := e.inspect(t, "lost")
	e.ok(t, "daemon", "stop")
	// A copy of the database comes back, which knows nothing of the one VM, and
	// not that the other runs; and the files of the first are gone.
	if err := errors.Join(os.Rename(db+".copy", db), os.RemoveAll(lost.Dir)); err != nil {
		t.Fatal(err)
	}
	strays := []string{filepath.Join(e.state(), "images", ".making-0123"), filepath.Join(e.state(), "kernels", ".deleting-0123")}
	alike := []string{filepath.Join(e.state(), "vms", "0123456789ab"), filepath.Join(e.dir, "vms", "back"), filepath.Join(e.state(), "images", "0123")}
	for _, dir := range append(strays, alike...) {
		if err := os.MkdirAll(filepath.Join(dir, "in"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	socket := filepath.Join(e.dir, "bangerd.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close() // nobody listens on it
	qemu := exec.Command("sleep", "1000")
	qemu.Args = []string{"qemu-system-x86_64", "1000"} // by its name, in a VM's directory
	qemu.Dir = alike[0]
	monitor := exec.Command("sleep", "1000")
	monitor.Args = []string{"bangerd-monitor", "1000"}
	for _, c := range []*exec.Cmd{qemu, monitor} {
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { c.Process.Kill(); c.Wait() }()
	}

	e.ok(t, "ls")
	await(t, "what is left over to be gone", func() bool {
		for _, dir := range strays {
			if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
				return false
			}
		}
		return !alive(lost.Boot.VMMPID) && !alive(lost.Boot.MonitorPID)
	})
	for _, path := range append(alike, socket) {
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("it is gone: %v", err)
		}
	}
	for _, c := range []*exec.Cmd{qemu, monitor} {
		if !alive(c.Process.Pid) {
			t.Errorf("%s was ended", c.Args[0])
		}
	}
	said := ""
	for line := range strings.Lines(e.ok(t, "events", "--json")) {
		var ev api.Event
		if err := json.Unmarshal([]byte(line), &ev); err != nil {
			t.Fatal(err)
		}
		said += ev.Type + " " + ev.Message + "\n"
	}
	for _, want := range []string{
		"daemon.reaped process " + strconv.Itoa(lost.Boot.VMMPID) + " was ended", "daemon.reaped directory " + strays[0] + " was removed",
		"daemon.stray directory " + alike[0] + " is left over", "daemon.stray process " + strconv.Itoa(back.Boot.VMMPID) + " is left over",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("there is no %q in\n%s", want, said)
		}
	}
	// What may be somebody's work is not ended, and can be had back.
	e.ok(t, "start", "back")
	if v := e.inspect(t, "back"); v.State != api.StateRunning || v.Boot.VMMPID != back.Boot.VMMPID {
		t.Errorf("it is %s: %s", v.State, v.Reason)
	}
	e.ok(t, "exec", "back", "--", "true")
	kill9(t, e.daemonPID(t))
	e.ok(t, "stop", "back") // by the next one
	if v := e.inspect(t, "back"); v.State != api.StateStopped || v.Reason != "" {
		t.Errorf("then it is %s: %s", v.State, v.Reason)
	}
	e.ok(t, "rm", "-f", "back")
	for _, dir := range []string{alike[0], alike[2]} {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	}
	if r := e.banger(t, "doctor", "--residue"); r.code != 0 {
		t.Errorf("left: %s", r)
	}
}
