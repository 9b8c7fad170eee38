package daemon

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/doctor/residue"
	"github.com/banger-vm/banger/internal/monitor/control"
	"github.com/banger-vm/banger/internal/reaper"
	"github.com/banger-vm/banger/internal/rpc"
	"github.com/banger-vm/banger/internal/store"
	"github.com/banger-vm/banger/internal/unit"
)

// strays compares this host with what the daemon knows, or its database where
// no daemon answers.
func (x *examiner) strays(ctx context.Context) ([]residue.Stray, error) {
	return residue.Find(ctx, x.host(), x.known)
}

// reap puts right what is left over, now and then, until what it returns is called.
func (d *Daemon) reap(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	find := func(ctx context.Context) ([]residue.Stray, error) {
		return residue.Find(ctx, d.host(), d.parts.store.Known)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		reaper.New(find, d.parts.events, d.log, reaper.Config{}).Run(ctx)
	}()
	return func() { cancel(); <-done }
}

// host is where strays are looked for.
func (d *Daemon) host() residue.Host {
	manager := unit.New(unit.SystemConfig())
	systemctl := "systemctl stop "
	if manager.User() {
		systemctl = "systemctl --user stop "
	}
	return residue.Host{
		StateDir: d.places.StateDir, CacheDir: d.places.CacheDir, Socket: d.places.Socket,
		UID: os.Geteuid(), Proc: "/proc", Now: time.Now,
		Listens: listens,
		Monitors: func(ctx context.Context) (all []residue.Service, _ error) {
			found, err := manager.Services(ctx, control.MonitorUnits)
			for _, s := range found {
				all = append(all, residue.Service(s))
			}
			return all, err
		},
		Stop: func(unit string) string { return systemctl + unit },
	}
}

// listens reports whether a process takes connections on a socket.
func listens(ctx context.Context, path string) (bool, error) {
	conn, err := rpc.Dial(ctx, path)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, conn.Close()
}

// known is what the daemon says; a daemon that does not answer may have changed
// nothing since it last wrote to its database.
func (x *examiner) known(ctx context.Context) (residue.Known, error) {
	k, err := x.told(ctx)
	if errors.Is(err, errNoDaemon) || errors.Is(err, errDeaf) {
		return x.recorded(ctx)
	}
	return k, err
}

func (x *examiner) told(ctx context.Context) (residue.Known, error) {
	var ops api.OpList
	var vms api.VMList
	var images api.ImageList
	var kernels api.KernelList
	// The operations first: what one has made by its end has a record then.
	for _, each := range []struct {
		method         string
		params, result any
	}{
		{api.MethodOpList, api.OpListRequest{}, &ops},
		{api.MethodVMList, api.VMListRequest{All: true}, &vms},
		{api.MethodImageList, api.Empty{}, &images},
		{api.MethodKernelList, api.Empty{}, &kernels},
	} {
		if err := x.ask(ctx, each.method, each.params, each.result); err != nil {
			return residue.Known{}, err
		}
	}
	k := residue.NewKnown(len(ops.Operations) > 0)
	for _, v := range vms.VMs {
		idle := v.State == api.StateStopped || v.State == api.StateFailed
		k.VMs[v.ID] = residue.VM{Name: v.Name, Runs: !idle || v.Operation != "", Made: v.State != api.StateCreating && v.State != api.StateDeleting}
	}
	for _, i := range images.Images {
		k.Images[i.ID] = i.Name
	}
	for _, each := range kernels.Kernels {
		k.Kernels[each.ID] = each.Name
	}
	return k, nil
}

// recorded reads the database, which nobody may ever have made.
func (x *examiner) recorded(ctx context.Context) (k residue.Known, err error) {
	s, err := store.OpenReadOnly(ctx, databaseFile(x.places))
	if errors.Is(err, fs.ErrNotExist) {
		return residue.NewKnown(false), nil
	}
	if err != nil {
		return k, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.Known(ctx)
}
