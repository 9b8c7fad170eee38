package daemon

import (
	"path/filepath"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/change"
	"github.com/banger-vm/banger/internal/vm/comeback"
	"github.com/banger-vm/banger/internal/vm/reset"
)

// rooms are what stands on the manager of the VMs.
type rooms struct {
	changes   *change.Changer
	resets    *reset.Resetter
	comebacks *comeback.Keeper
}

// addRooms makes those that have operations of their own.
func (d *Daemon) addRooms(p *parts) {
	p.rooms.changes = change.New(p.vms, p.store)
	p.rooms.resets = reset.New(p.vms, p.vms.Images, p.vms.Disks)
}

func (d *Daemon) newComebacks(p *parts, host vm.Host) *comeback.Keeper {
	return comeback.New(p.vms, p.store, p.ops, d.log, comeback.Config{
		Host: host, BootFile: filepath.Join(d.places.StateDir, "host-boot"),
	})
}

// thisHost tells this boot of this host from all others.
func thisHost() (vm.Host, error) {
	boot, err := hostBoot()
	if err != nil {
		return vm.Host{}, err
	}
	machine, err := hostexec.MachineID()
	return vm.Host{Boot: boot, Machine: machine}, err
}
