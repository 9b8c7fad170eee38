package e2e

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/banger-vm/banger/api"
)

// A database that cannot be used is refused with what to do, stays as it is, and
// ends nothing; once it is back, so is the VM that ran all the while.
func TestDamagedDatabase(t *testing.T) {
	e := private(t)
	e.vm(t, "spared", "-m", "128M", "--network", "none")
	before := e.inspect(t, "spared")
	db := filepath.Join(e.state(), "banger.db")
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, whole []byte) (undo func())
		says   string
	}{
		{"truncated", func(t *testing.T, whole []byte) func() { return e.putDatabase(t, db, whole[:len(whole)/2]) }, "damaged"},
		{"of a newer version", func(t *testing.T, whole []byte) func() {
			newer := append([]byte(nil), whole...)
			binary.BigEndian.PutUint32(newer[60:], 99) // SQLite's user_version
			return e.putDatabase(t, db, newer)
		}, "from a newer banger"},
		{"read-only", func(t *testing.T, _ []byte) func() { return readOnly(t, db) }, "read-only"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e.ok(t, "daemon", "stop")
			whole, err := os.ReadFile(db)
			if err != nil {
				t.Fatal(err)
			}
			undo := c.damage(t, whole)
			damaged, err := os.ReadFile(db)
			if err != nil {
				t.Fatal(err)
			}
			r := e.banger(t, "ls")
			if r.code == 0 || !strings.Contains(r.stderr, c.says) || !strings.Contains(r.stderr, "hint: ") {
				t.Errorf("%s", r)
			}
			if left, err := os.ReadFile(db); err != nil || string(left) != string(damaged) {
				t.Errorf("it was changed (%v)", err)
			}
			if !alive(before.Boot.VMMPID) || !alive(before.Boot.MonitorPID) {
				t.Error("the VM was ended")
			}
			undo()
			after := e.inspect(t, "spared")
			if after.State != api.StateRunning || after.Boot.VMMPID != before.Boot.VMMPID {
				t.Errorf("afterwards it is %s: %s", after.State, after.Reason)
			}
			e.ok(t, "exec", "spared", "--", "true")
		})
	}
}

// putDatabase puts other bytes in the database's place until undo.
func (e *env) putDatabase(t *testing.T, db string, data []byte) (undo func()) {
	t.Helper()
	if err := os.Rename(db, db+".whole"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(db, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Rename(db+".whole", db); err != nil {
			t.Fatal(err)
		}
	}
}

// readOnly makes a file read-only, for root too, until undo.
func readOnly(t *testing.T, path string) (undo func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		if err := os.Chmod(path, 0o400); err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := os.Chmod(path, 0o600); err != nil {
				t.Error(err)
			}
		}
	}
	if err := syscall.Mount(path, path, "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	undo = func() {
		if err := syscall.Unmount(path, 0); err != nil && err != syscall.EINVAL {
			t.Error(err)
		}
	}
	t.Cleanup(undo)
	if err := syscall.Mount("", path, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	return undo
}

// Clients that do opposite things to one VM at once are each told the truth, and
// what is left is one VM in one state, or none.
func TestOpposites(t *testing.T) {
	e := private(t)
	told := map[int]bool{0: true, 3: true, 4: true, 5: true} // done, no such VM, in use, not in this state
	const vm = "torn"
	for _, pair := range [][2][]string{
		{{"start", vm}, {"stop", vm}},
		{{"start", vm}, {"rm", "-f", vm}},
		{{"stop", vm}, {"restart", vm}},
		{{"pause", vm}, {"kill", vm}},
		{{"pause", vm}, {"resume", vm}},
		{{"rename", vm, "other"}, {"rm", "-f", vm}},
		{{"rename", vm, "other"}, {"rename", vm, "another"}},
		{{"rm", vm}, {"start", vm}},
		{{"stop", vm}, {"exec", vm, "--", "true"}},
	} {
		for round := range 2 {
			e.ok(t, "vm", "create", "-q", "-m", "128M", "--network", "none", "-n", vm)
			if round%2 == 0 {
				e.ok(t, "start", vm)
			}
			results := make(chan result, 2)
			for _, args := range pair {
				go func() { results <- e.banger(t, args...) }()
			}
			for range pair {
				r := <-results
				if r.code > 128 { // the command's own end, by a signal
					continue
				}
				if !told[r.code] && !(r.code == 125 || r.code == 1 && strings.Contains(r.stderr, "cancel") || r.code == 1 && strings.Contains(r.stderr, "killed")) {
					t.Errorf("%v: %s", pair, r)
				}
				if r.code != 0 && !strings.Contains(r.stderr, "banger: ") {
					t.Errorf("%v: it does not say why: %s", pair, r)
				}
			}
			await(t, "all to end", func() bool { return strings.TrimSpace(e.ok(t, "op", "ls", "-q")) == "" })
			ids := strings.Fields(e.ok(t, "ls", "-a", "-q"))
			if len(ids) > 1 {
				t.Fatalf("%v: there are %q", pair, ids)
			}
			for _, id := range ids {
				switch v := e.inspect(t, id); v.State {
				case api.StateRunning:
					e.ok(t, "exec", id, "--", "true")
				case api.StateStopped, api.StatePaused, api.StateFailed:
				default:
					t.Errorf("%v: it is %s: %s", pair, v.State, v.Reason)
				}
				e.ok(t, "rm", "-f", id)
			}
			if left := e.residue(t); len(left) > 0 {
				t.Errorf("%v: left: %q", pair, left)
			}
		}
	}
	if r := e.banger(t, "doctor", "--residue"); r.code != 0 {
		t.Errorf("left over: %s", r)
	}
}

// A home that is full is the guest's own trouble: commands run, the VM stops and
// starts, and it is well again when its user makes room.
func TestWorkDiskFull(t *testing.T) {
	e := private(t)
	e.vm(t, "brimful", "-m", "256M", "--disk", "40M", "--network", "none")
	home := strings.TrimSpace(e.ok(t, "exec", "brimful", "--", "sh", "-c", "cd && pwd"))
	fill := fmt.Sprintf("echo kept >%[1]s/kept; sync; cat /dev/zero >%[1]s/filler; sync; df %[1]s", home)
	r := e.banger(t, "exec", "brimful", "--", "sh", "-c", fill)
	if !strings.Contains(strings.ToLower(r.stderr), "no space left") {
		t.Fatalf("the home is not full: %s", r)
	}
	for range 2 {
		e.ok(t, "exec", "brimful", "--", "true")
		e.refused(t, 5, []string{"no space left on device", "Free some space"}, "cp", program("banger"), "brimful:")
		if r := e.banger(t, "health", "brimful"); r.code != 0 {
			t.Errorf("%s", r)
		}
		e.ok(t, "stop", "brimful")
		if v := e.inspect(t, "brimful"); v.State != api.StateStopped || v.Reason != "" {
			t.Errorf("it is %s: %s", v.State, v.Reason)
		}
		e.ok(t, "start", "brimful")
	}
	e.ok(t, "exec", "brimful", "--", "rm", home+"/filler")
	if out := e.ok(t, "exec", "brimful", "--", "sh", "-c", fmt.Sprintf("echo new >%[1]s/new && cat %[1]s/kept %[1]s/new", home)); out != "kept\nnew\n" {
		t.Errorf("%q", out)
	}
}
