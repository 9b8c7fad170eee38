// Package daemon wires bangerd together: it makes every part, starts them in
// order, serves until it is told to stop, and stops them in reverse. Running
// VMs outlive it.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/places"
	"github.com/banger-vm/banger/internal/rpc"
	"github.com/banger-vm/banger/internal/rpc/rpcserver"
	"github.com/banger-vm/banger/internal/service"
	"github.com/banger-vm/banger/internal/telemetry"
	"github.com/banger-vm/banger/internal/version"
)

// Daemon is one running bangerd.
type Daemon struct {
	places   places.Places
	settings Settings
	log      *slog.Logger
	started  time.Time
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
	log, closer, err := telemetry.Open(settings.logging(p.LogFile))
	if err != nil {
		return err
	}
	defer closer.Close()
	defer func() {
		if err != nil {
			log.Error("the daemon ends", "err", err)
		}
	}()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	d := &Daemon{places: p, settings: settings, log: log, started: time.Now().UTC(), stop: stop}
	return d.serve(ctx)
}

// serve listens last: who gets an answer gets it from a daemon that is whole.
func (d *Daemon) serve(ctx context.Context) (err error) {
	if d.parts, err = d.wire(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.parts.close()) }()
	mode, allow, err := d.access()
	if err != nil {
		return err
	}
	listener, err := rpc.Listen(d.places.Socket, mode)
	if errors.Is(err, rpc.ErrInUse) {
		return fmt.Errorf("another daemon answers on %s", d.places.Socket)
	}
	if err != nil {
		return err
	}
	if err := d.giveToGroup(); err != nil {
		return errors.Join(err, listener.Close())
	}
	d.log.Info("the daemon serves", "version", version.Version, "socket", d.places.Socket, "state", d.places.StateDir)
	server := rpcserver.New(d.log, rpcserver.Config{
		Methods: service.Methods(service.Parts{
			Daemon: d, VMs: d.parts.vms, Images: d.parts.images, Operations: d.parts.ops,
			Events: d.parts.events, MonitorSocket: d.parts.monitorSocket,
		}),
		Allow: allow,
	})
	err = server.Serve(ctx, listener)
	d.log.Info("the daemon stops; running VMs go on")
	return err
}

// Status implements service.Daemon.
func (d *Daemon) Status(ctx context.Context) (api.DaemonStatus, error) {
	s := api.DaemonStatus{
		PID: os.Getpid(), Version: version.Version, Protocol: api.ProtocolVersion, Socket: d.places.Socket,
		StateDir: d.places.StateDir, LogFile: d.places.LogFile, StartedAt: d.started,
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

// lock keeps a second daemon off the state directory for as long as this
// process lives.
func lock(dir string) (io.Closer, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the state directory's lock: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
		return f, err
	}
	defer f.Close()
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("locking the state directory: %w", err)
	}
	pid, _ := io.ReadAll(io.LimitReader(f, 16))
	return nil, fault.New(fault.Busy, "Use that daemon, or another --state-dir.",
		"another daemon (pid %s) uses the state directory %s", string(trimLine(pid)), dir)
}

func trimLine(b []byte) []byte {
	for len(b) > 0 && (b[len(b)-1] < '0' || b[len(b)-1] > '9') {
		b = b[:len(b)-1]
	}
	return b
}

// access says who may use the socket: this user and root, and a group if one
// is configured.
func (d *Daemon) access() (fs.FileMode, func(uid, gid uint32) bool, error) {
	if d.settings.Group == "" {
		return 0o600, nil, nil
	}
	if _, err := d.groupID(); err != nil {
		return 0, nil, err
	}
	// The kernel checks the group at connect: 0660 and the group's directory.
	return 0o660, func(uint32, uint32) bool { return true }, nil
}

func (d *Daemon) groupID() (int, error) {
	g, err := user.LookupGroup(d.settings.Group)
	if err != nil {
		return 0, fmt.Errorf("the configured group: %w", err)
	}
	return strconv.Atoi(g.Gid)
}

// giveToGroup opens the socket's way to the configured group.
func (d *Daemon) giveToGroup() error {
	if d.settings.Group == "" {
		return nil
	}
	gid, err := d.groupID()
	if err != nil {
		return err
	}
	dir := filepath.Dir(d.places.Socket)
	return errors.Join(os.Chown(d.places.Socket, -1, gid), os.Chown(dir, -1, gid), os.Chmod(dir, 0o710))
}
