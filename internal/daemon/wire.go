package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/banger-vm/banger/internal/claim"
	"github.com/banger-vm/banger/internal/event"
	"github.com/banger-vm/banger/internal/image"
	"github.com/banger-vm/banger/internal/monitor/control"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/store"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/auth"
	"github.com/banger-vm/banger/internal/vmm/install"
)

// parts are the daemon's long-lived parts.
type parts struct {
	claims   *claim.Table
	store    *store.Store
	events   *event.Log
	ops      *operation.Registry
	images   *image.Registry
	kernels  kernelSource
	vmms     *vmms
	installs *install.Registry
	vms      *vm.Manager
	auth     *auth.Keeper
	rooms    rooms
}

// wire makes the parts in the order of their needs, and starts the manager of
// the VMs, which takes up what an earlier daemon left. close is its reverse.
func (d *Daemon) wire(ctx context.Context) (_ *parts, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding the daemon's own program: %w", err)
	}
	agent, err := companion(self, "banger-guest")
	if err != nil {
		return nil, err
	}
	p := &parts{claims: claim.NewTable()}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	if p.store, err = store.Open(ctx, filepath.Join(d.places.StateDir, "banger.db")); err != nil {
		return nil, err
	}
	if p.events, err = event.Open(ctx, p.store, d.log, event.Config{Decode: operation.EventData}); err != nil {
		return nil, err
	}
	networks := newNetworks()
	if p.vmms, err = d.newVMMs(networks); err != nil {
		return nil, err
	}
	p.images, p.kernels = d.newImages(p), d.newKernels(p, agent)
	if err := p.kernels.named.Adopt(ctx); err != nil {
		return nil, err
	}
	host, err := thisHost()
	if err != nil {
		return nil, err
	}
	runtime := d.newRuntime(self, p.vmms.finder)
	p.auth = d.newAuth(p, runtime)
	p.vms = d.newVMs(self, p, runtime, networks, host)
	p.vmms.guest, p.vmms.usual = p.kernels.Guest, p.vms.UsualVMM
	p.installs = install.New(d.log, install.Config{Dir: d.vmmDir(), Products: products(d.log), Users: p.vms.VMMUsers})
	d.addRooms(p)
	p.ops = d.newOperations(p)
	p.rooms.comebacks = d.newComebacks(p, host)
	if err := p.vms.Start(ctx, p.ops); err != nil {
		return nil, err
	}
	return p, errors.Join(p.auth.Start(ctx, p.ops), p.rooms.comebacks.Start(ctx))
}

// close stops the parts in the reverse order of their making. Operations are
// interrupted, not undone: the next daemon takes them up.
func (p *parts) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var errs []error
	if p.rooms.comebacks != nil {
		p.rooms.comebacks.Close()
	}
	if p.ops != nil {
		errs = append(errs, p.ops.Close(ctx))
	}
	if p.vms != nil {
		p.vms.Close()
	}
	if p.events != nil {
		errs = append(errs, p.events.Close(ctx))
	}
	if p.store != nil {
		errs = append(errs, p.store.Close())
	}
	return errors.Join(errs...)
}

func (p *parts) monitorSocket(dir string) string { return filepath.Join(dir, control.SocketFile) }
