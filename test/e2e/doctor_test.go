package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/banger-vm/banger/api"
)

// The doctor looks at a host with a VM that runs, whether the daemon does or not.
func TestDoctor(t *testing.T) {
	e := private(t)
	e.vm(t, "doctored", "--network", "none")
	vm := e.inspect(t, "doctored")
	dead := filepath.Join(e.state(), "vms", "dead")
	owned := []string{strconv.Itoa(vm.Boot.VMMPID), strconv.Itoa(vm.Boot.MonitorPID)}
	strays := func(t *testing.T, want ...string) {
		t.Helper()
		r := e.banger(t, "doctor", "--residue", "--json")
		var got api.Residue
		if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || r.code != min(len(want), 1) {
			t.Fatalf("%v in %s", err, r)
		}
		var found []string
		for _, s := range got.Strays {
			found = append(found, s.What)
		}
		if strings.Join(found, " ") != strings.Join(want, " ") {
			t.Errorf("found %q, want %q; the VM has %q", found, want, owned)
		}
	}
	t.Run("checks", func(t *testing.T) {
		r := e.banger(t, "doctor", "--json")
		var got api.DoctorReport
		if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
			t.Fatalf("%v in %s", err, r)
		}
		state := map[string]string{}
		for _, c := range got.Checks {
			state[c.Name] = c.State
		}
		for _, name := range []string{"vmm", "database", "daemon", "daemon-version", "programs-version", "image", "guest-kernel", "residue", "guest-program"} {
			if state[name] != api.DoctorOK {
				t.Errorf("%s is %q in %s", name, state[name], r)
			}
		}
		if len(state) < 25 {
			t.Errorf("there are %d checks", len(state))
		}
	})
	t.Run("residue", func(t *testing.T) {
		strays(t)
		kill9(t, e.daemonPID(t))
		socket := filepath.Join(e.dir, "run", "bangerd.sock")
		if _, err := os.Stat(socket); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(dead, 0o700); err != nil {
			t.Fatal(err)
		}
		strays(t, dead, socket)
		e.ok(t, "ls") // starts a daemon
		strays(t, dead)
		if err := os.Remove(dead); err != nil {
			t.Fatal(err)
		}
		strays(t)
	})
	// The record goes, and all else stays: what is then found can be removed by
	// what is told.
	t.Run("lost VM", func(t *testing.T) {
		e.ok(t, "daemon", "stop")
		db := filepath.Join(e.state(), "banger.db")
		if err := os.Rename(db, db+".lost"); err != nil {
			t.Fatal(err)
		}
		r := e.banger(t, "doctor", "--residue", "--json")
		var got api.Residue
		if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || r.code != 1 {
			t.Fatalf("%v in %s", err, r)
		}
		lost := map[string]bool{}
		for _, s := range got.Strays {
			lost[s.What] = true
		}
		for _, what := range append(owned, filepath.Join(e.state(), "vms", vm.ID)) {
			if !lost[what] {
				t.Errorf("%s is not told: %s", what, r)
			}
		}
		if err := os.Rename(db+".lost", db); err != nil {
			t.Fatal(err)
		}
		strays(t)
	})
}
