// Command fakevmm is a VMM for tests, without a machine: its guest is the real
// banger-guest on the VM's own disks, as processes in namespaces of this host.
// It is driven by internal/vmm/fakeproc, needs root, and runs nothing that is
// not trusted: what keeps the guest from the host's clock, modules and devices
// are capabilities that it does not have.
//
// A file fake.faults in the VM's directory makes it misbehave (fault.go).
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"

	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/fakeproc"
)

// roleGuest is the first argument of the process that becomes the guest.
const roleGuest = "guest"

// The signal that ends a guest with its host is its first thread's alone, so that
// is the one which becomes the guest's init.
func init() { runtime.LockOSThread() }

func main() {
	if len(os.Args) == 2 && os.Args[1] == roleGuest {
		runGuest()
	}
	if len(os.Args) == 3 && os.Args[1] == roleHost {
		fmt.Fprintln(os.Stderr, "fakevmm host:", serveGuests(os.Args[2]))
		os.Exit(1)
	}
	name := flag.String("name", "", "the VM's name, for people")
	dir := flag.String("dir", "", "the VM's directory")
	flag.Parse()
	if err := run(*name, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "fakevmm:", err)
		os.Exit(1)
	}
}

func run(name, dir string) error {
	if err := os.Chdir(dir); err != nil || dir == "" {
		return fmt.Errorf("the VMM of %q needs its VM's directory: %w", name, err)
	}
	faults, err := readFaults(fakeproc.FileFaults)
	if err != nil {
		return err
	}
	if err := faults.at(stepSpawn); err != nil {
		return err
	}
	var spec vmm.Spec
	b, err := os.ReadFile(fakeproc.FileMachine)
	if err == nil {
		err = json.Unmarshal(b, &spec)
	}
	if err != nil {
		return fmt.Errorf("reading what to run: %w", err)
	}
	m, err := newMachine(spec, faults)
	if err != nil {
		return err
	}
	return m.live()
}
