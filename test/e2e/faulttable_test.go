package e2e

import (
	"fmt"
	"os"
	"testing"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/test/faults/table"
)

// deed is a verb of the fault table.
type deed struct {
	name, kind string
	from, to   api.State // gone: there is no such VM
	args       []string
	// lossy: what the guest had not written yet may be lost.
	lossy bool
	// renames: it has another name after it.
	renames bool
	// drops: what the guest had written to its root goes with that step, "" none.
	drops string
	// before is what takes an earlier round back.
	before []string
	more   func(round int) []string // arguments, of each time
	final  []string                 // the steps from which on there is no way back
}

// gone is the state of a VM that does not exist.
const gone api.State = "gone"

// subject is the name of the VM of a deed; renamed is what a rename makes of it.
const subject, renamed = "subject", "renamed"

// deeds are all that is done to a VM in steps.
var deeds = []deed{
	{name: "create", kind: "vm.create", from: gone, to: api.StateRunning, args: []string{"run", "-d", "-m", "256M", "-n", subject, "debian", "--", "sleep", "1000"}},
	{name: "start", kind: "vm.start", from: api.StateStopped, to: api.StateRunning, args: []string{"start", subject}},
	{name: "stop", kind: "vm.stop", from: api.StateRunning, to: api.StateStopped, args: []string{"stop", subject}},
	{name: "restart", kind: "vm.restart", from: api.StateRunning, to: api.StateRunning, args: []string{"restart", subject}},
	{name: "kill", kind: "vm.kill", from: api.StateRunning, to: api.StateStopped, args: []string{"kill", subject}, lossy: true},
	{name: "pause", kind: "vm.pause", from: api.StateRunning, to: api.StatePaused, args: []string{"pause", subject}},
	{name: "resume", kind: "vm.resume", from: api.StatePaused, to: api.StateRunning, args: []string{"resume", subject}},
	{name: "rename", kind: "vm.rename", from: api.StateRunning, to: api.StateRunning, args: []string{"rename", subject, renamed}, renames: true},
	{name: "forward", kind: "vm.forward", from: api.StateRunning, to: api.StateRunning, args: []string{"forward", "add", subject, "0:9"}},
	{
		name: "set", kind: "vm.set", from: api.StateRunning, to: api.StateRunning, args: []string{"set", "-m", "300M", "--label", "fault=1", subject},
		before: []string{"set", "-m", "256M", "--unlabel", "fault", subject},
		more: func(round int) []string { // the disk grows at once, where VMM and guest can
			return []string{"--disk", fmt.Sprintf("%dM", 16<<10+16*round)}
		},
	},
	{name: "reset", kind: "vm.reset", from: api.StateStopped, to: api.StateStopped, args: []string{"reset", subject}, drops: "drop the old one", final: []string{"drop the old one"}},
	{name: "reset -f", kind: "vm.reset", from: api.StateRunning, to: api.StateRunning, args: []string{"reset", "-f", subject}, drops: "drop the old one"},
	{name: "delete", kind: "vm.delete", from: api.StateStopped, to: gone, args: []string{"rm", subject}, final: []string{"remove the files"}},
	{name: "delete -f", kind: "vm.delete", from: api.StateRunning, to: gone, args: []string{"rm", "-f", subject}, lossy: true, final: []string{"remove the files"}},
}

// TestLongFaultTable ends the daemon with SIGKILL before, in and after every
// step of every verb, and in the undoing of every step of one that is cancelled;
// and the monitor before, in and after every step. Whatever was interrupted goes
// on or is taken back by the next one, no file of a guest is lost, and nothing is
// left over.
func TestLongFaultTable(t *testing.T) {
	if _, err := os.Stat(program("fakevmm")); err != nil && os.Getenv("BANGER_TEST_VM") != "" {
		t.Skip("only a daemon that is built for tests can be held up")
	}
	kept, err := table.Load("../faults")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("tables of real VMMs", func(t *testing.T) {
		if len(kept) == 0 {
			t.Skip("none is kept yet, so no step is proven by one")
		}
	})
	for _, d := range deeds {
		t.Run(d.name, func(t *testing.T) {
			b := newBench(t, d)
			steps := b.undisturbed(t)
			t.Run("is proven", func(t *testing.T) { proven(t, kept, d.name, steps) })
			for _, f := range b.faults(steps) {
				t.Run(f.step+" "+f.String(), func(t *testing.T) { b.endure(t, f) })
			}
		})
	}
}

// proven checks that no step is newer than the tables of the real VMMs.
func proven(t *testing.T, kept map[string]table.Table, verb string, steps []api.OpStep) {
	if os.Getenv("BANGER_FAULTS") != "" {
		t.Log("that is being found out")
		return
	}
	var names []string
	for _, s := range steps {
		names = append(names, s.Name)
	}
	for vmm, table := range kept {
		if lacks := table.Lacks(verb, names); len(lacks) > 0 {
			t.Errorf("the fault table of %s, of %s, lacks %q: run make faults", vmm, table.Date, lacks)
		}
	}
}
