// Package daemon wires bangerd together: it makes every part, starts them in
// order, serves until it is told to stop, and stops them in reverse. Running
// VMs outlive it.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/places"
	"github.com/banger-vm/banger/internal/rpc"
	"github.com/banger-vm/banger/internal/rpc/rpcserver"
	"github.com/banger-vm/banger/internal/service"
	"github.com/banger-vm/banger/internal/stream"
	"github.com/banger-vm/banger/internal/telemetry"
	"github.com/banger-vm/banger/internal/unit"
	"github.com/banger-vm/banger/internal/version"
)

// Daemon is one running bangerd.
type Daemon struct {
	places   places.Places
	settings Settings
	log      *slog.Logger
	started  time.Time
	units    *units
	notify   unit.Notifier // tells systemd, where it started us
	parts    *parts
	stop     context.CancelFunc
}

// Run is the life of a daemon: it returns when ctx ends or a client stops it.
func Run(ctx context.Context, p places.Places) (err error) {
	settings, err := ReadSettings(p.ConfigFile)
	if err != nil {
		return err
	}
	if err := makeDirs(p); err != nil {
		return err
	}
	held, err := lock(p.StateDir)
	if err != nil {
		return err
	}
	defer held.Close()
	p.LogFile = settings.logFile(p)
	log, closer, err := telemetry.Open(telemetry.Config{Level: settings.Log.Level, Format: settings.Log.Format, File: p.LogFile})
	if err != nil {
		return err
	}
	defer closer.Close()
	defer func() {
		if err != nil {
			log.Error("the daemon ends", "err", err)
		}
	}()
	notify, err := unit.NewNotifier()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	d := &Daemon{
		places: p, settings: settings, log: log, started: time.Now().UTC(),
		units: newUnits(log), notify: notify, stop: stop,
	}
	return d.serve(ctx)
}

// serve listens last: who gets an answer gets it from a daemon that is whole.
func (d *Daemon) serve(ctx context.Context) (err error) {
	if d.parts, err = d.wire(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.parts.close()) }()
	listener, err := rpc.Listen(d.places.Socket, 0o600)
	if errors.Is(err, rpc.ErrInUse) {
		return fmt.Errorf("another daemon answers on %s", d.places.Socket)
	}
	if err != nil {
		return err
	}
	defer d.reap(ctx)()
	if err := d.notify.Ready("serving on " + d.places.Socket); err != nil {
		d.log.Warn("systemd was not told that the daemon serves", "err", err)
	}
	d.log.Info("the daemon serves", "version", version.Version, "socket", d.places.Socket, "state", d.places.StateDir)
	server := rpcserver.New(d.log, rpcserver.Config{
		Rest: debug.FreeOSMemory, // a kernel that was unpacked leaves tens of megabytes
		Methods: service.Methods(service.Parts{
			Daemon: d, VMs: d.parts.vms, Auth: d.parts.auth, Images: d.parts.images, Kernels: d.parts.kernels.named, Operations: d.parts.ops,
			Events: d.parts.events, VMMs: d.parts.vmms, Installs: d.parts.installs, MonitorSocket: d.parts.monitorSocket,
		}),
	})
	err = server.Serve(ctx, listener)
	d.log.Info("the daemon stops; running VMs go on")
	if err := d.notify.Stopping("running VMs go on"); err != nil {
		d.log.Warn("systemd was not told that the daemon stops", "err", err)
	}
	return err
}

// protocols are those that this build's daemon, monitors and agents speak. Of a
// VM that runs since an earlier build, monitor and agent may speak earlier ones.
var protocols = api.Protocols{API: api.ProtocolVersion, Stream: stream.Version, Monitor: machine.Protocol, Agent: wire.Protocol}

// Status implements service.Daemon.
func (d *Daemon) Status(ctx context.Context) (api.DaemonStatus, error) {
	s := api.DaemonStatus{
		PID: os.Getpid(), Version: version.Version, Protocols: protocols, Socket: d.places.Socket,
		StateDir: d.places.StateDir, LogFile: d.places.LogFile, StartedAt: d.started,
	}
	if err := d.units.describe(ctx, &s); err != nil {
		return s, err
	}
	views, err := d.parts.vms.List(ctx, true)
	s.VMs = len(views)
	for _, v := range views {
		if v.Live != nil {
			s.Running++
		}
	}
	return s, err
}

// Stop implements service.Daemon.
func (d *Daemon) Stop() { d.stop() }

func makeDirs(p places.Places) error {
	if err := p.Make(); err != nil {
		return err
	}
	for _, dir := range []string{filepath.Join(p.StateDir, "vms"), filepath.Join(p.CacheDir, verdicts)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("making banger's directories: %w", err)
		}
	}
	return nil
}
