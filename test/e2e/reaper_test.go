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
	e.ok(t, "vm", "create", "-q", "-m", "128M", "--network", "none", "-n", "owned")
	removed := e.inspect(t, "owned").Dir
	e.ok(t, "rm", "owned")
	e.vm(t, "back", "-m", "128M", "--network", "none")
	e.ok(t, "stop", "back")
	e.ok(t, "daemon", "stop")
	db := filepath.Join(e.state(), "banger.db")
	if err := exec.Command("cp", db, db+".stopped").Run(); err != nil {
		t.Fatal(err)
	}
	e.ok(t, "start", "back")
	running := e.inspect(t, "back")
	e.ok(t, "daemon", "stop")
	// A copy of the database comes back, which does not know of the boot.
	if err := os.Rename(db+".stopped", db); err != nil {
		t.Fatal(err)
	}
	strays := []string{removed, filepath.Join(e.state(), "images", ".making-0123"), filepath.Join(e.state(), "kernels", ".deleting-0123")}
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
		return !alive(running.Boot.VMMPID) && !alive(running.Boot.MonitorPID)
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
		"daemon.reaped process " + strconv.Itoa(running.Boot.VMMPID) + " was ended", "daemon.reaped directory " + removed + " was removed",
		"daemon.stray directory " + alike[0] + " is left over",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("there is no %q in\n%s", want, said)
		}
	}
	if v := e.inspect(t, "back"); v.State != api.StateStopped {
		t.Errorf("it is %s: %s", v.State, v.Reason)
	}
	e.ok(t, "start", "back")
	e.ok(t, "exec", "back", "--", "true")
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
