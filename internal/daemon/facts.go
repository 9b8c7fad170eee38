package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/doctor/host"
	"github.com/banger-vm/banger/internal/doctor/own"
	checkvmms "github.com/banger-vm/banger/internal/doctor/vmms"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/image/bootstrap"
	"github.com/banger-vm/banger/internal/kernel"
	"github.com/banger-vm/banger/internal/monitor/sandbox"
	"github.com/banger-vm/banger/internal/rpc"
	"github.com/banger-vm/banger/internal/store"
	"github.com/banger-vm/banger/internal/unit"
	"github.com/banger-vm/banger/internal/version"
	"github.com/banger-vm/banger/internal/vm/spec"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/choose"
	"github.com/banger-vm/banger/internal/vmm/firecracker"
	"github.com/banger-vm/banger/internal/vmm/kvmprobe"
)

// hostFacts are those of this host.
func (x *examiner) hostFacts() host.Facts {
	builder := bootstrap.New(bootstrap.Config{UID: os.Geteuid()}, hostexec.Host{}, x.log)
	f := host.This()
	f.KVM, f.TUN, f.Landlock = kvmprobe.OpenDevice, firecracker.NoTUN, sandbox.Available
	f.KVMGrant = kvmprobe.Grant
	f.Subordinates = builder.Subordinates
	f.Sources = func(ctx context.Context) error {
		_, err := builder.Recipe(ctx)
		return err
	}
	f.Units = managerFacts{unit.New(unit.SystemConfig())}
	return f
}

// managerFacts is the service manager as the checks know it.
type managerFacts struct{ *unit.Manager }

func (m managerFacts) Version(ctx context.Context) (string, error) {
	v, err := m.Manager.Version(ctx)
	if errors.Is(err, unit.ErrNone) {
		err = host.ErrNoUnits
	}
	return v, err
}

// ownFacts are those of banger's own things. What several checks ask for is
// looked at once.
func (x *examiner) ownFacts() own.Facts {
	f := own.This(x.places)
	f.Version, f.CLI = version.Version, x.cli
	f.LongSocket, f.Agent, f.Damaged = rpc.Long, agentBeside, store.Damaged
	f.Settings = func() error { return x.settings }
	f.Volume = func(path string) (own.Volume, error) {
		free, err := vmm.Room(path)
		if err != nil {
			return own.Volume{}, err
		}
		return own.VolumeAt(path, free)
	}
	f.Strays = func(ctx context.Context) (int, error) {
		strays, err := x.strays(ctx)
		return len(strays), err
	}
	f.DiskDriver, f.DiskDrivers = or(x.Daemon.settings.DiskDriver, spec.DefaultDiskDriver), worksOn
	f.Database = once(x.database)
	daemon := once(func(ctx context.Context) (own.Daemon, error) { return x.find(ctx), nil })
	f.Daemon = func(ctx context.Context) own.Daemon {
		d, err := daemon(ctx)
		if err != nil {
			d.Err = err
		}
		return d
	}
	return f
}

// worksOn asks each disk driver whether it works on the file system of dir.
func worksOn(ctx context.Context, dir string) map[string]error {
	all := map[string]error{}
	for name, d := range newDisks() {
		all[name] = d.Check(ctx, dir)
	}
	return all
}

// once asks the first time only.
func once[T any](ask func(context.Context) (T, error)) func(context.Context) (T, error) {
	var first sync.Once
	var v T
	var err error
	return func(ctx context.Context) (T, error) {
		first.Do(func() { v, err = ask(ctx) })
		return v, err
	}
}

// database looks at the file, which the daemon may have open.
func (x *examiner) database(ctx context.Context) (db own.Database, err error) {
	s, err := store.OpenReadOnly(ctx, databaseFile(x.places))
	if err != nil {
		return db, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if db.Version, db.Newest, err = s.Version(ctx); err != nil || db.Version != db.Newest {
		return db, err
	}
	images, err := s.Images(ctx)
	if err != nil {
		return db, err
	}
	kernels, err := s.Kernels(ctx)
	db.Images, db.Kernels = len(images), len(kernels)
	return db, err
}

// answerTime is how long a daemon that is well takes at most.
const answerTime = 5 * time.Second

// find asks the daemon how it is, and looks who has the state directory.
func (x *examiner) find(ctx context.Context) own.Daemon {
	var status api.DaemonStatus
	err := x.ask(ctx, api.MethodDaemonStatus, api.Empty{}, &status)
	if err == nil {
		return own.Daemon{Version: status.Version, PID: status.PID}
	}
	d := own.Daemon{PID: own.LockedBy(x.places.StateDir)}
	if !errors.Is(err, errNoDaemon) {
		d.Err = err
	}
	return d
}

var (
	// errNoDaemon says that nobody listens on the daemon's socket.
	errNoDaemon = errors.New("no daemon answers")
	// errDeaf says that one listens, and does not answer.
	errDeaf = fmt.Errorf("it says nothing within %v", answerTime)
)

// ask makes one call of the daemon, if one runs.
func (x *examiner) ask(ctx context.Context, method string, params, result any) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	conn, err := rpc.Dial(ctx, x.places.Socket)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return errNoDaemon
	}
	if err != nil && ctx.Err() != nil { // its queue is full
		return errDeaf
	}
	if err != nil {
		return err
	}
	c := rpc.NewClient(conn)
	defer c.Close()
	err = c.Call(ctx, method, params, result)
	if err != nil && ctx.Err() != nil {
		return errDeaf
	}
	return err
}

// lookOnly asks a driver, which boots nothing without a guest's kernel.
func (v *vmms) lookOnly(ctx context.Context, name string) (vmm.Info, string, error) {
	_, by := v.finder.Find(name)
	info, err := v.chooser.See(ctx, name, choose.Guest{})
	return info, by, err
}

// verdict is what is kept about KVM with the VMM at path and the default kernel.
func (x *examiner) verdict(path string) (checkvmms.Verdict, error) {
	k, err := kernel.New(kernel.Config{Dir: filepath.Join(x.places.StateDir, "kernels")}, nil, hostexec.Host{}, x.log).Default()
	if fault.KindOf(err) == fault.NotFound {
		return checkvmms.Verdict{}, nil
	}
	if err != nil {
		return checkvmms.Verdict{}, err
	}
	v, ok, err := kvmprobe.Known(filepath.Join(x.places.CacheDir, verdicts), path, k.Vmlinux)
	return checkvmms.Verdict{Known: ok, Reason: v.Reason, At: v.At, File: v.File}, err
}
