package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/doctor/host"
	"github.com/banger-vm/banger/internal/doctor/own"
	checkvmms "github.com/banger-vm/banger/internal/doctor/vmms"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/image/bootstrap"
	"github.com/banger-vm/banger/internal/kernel"
	"github.com/banger-vm/banger/internal/monitor/sandbox"
	"github.com/banger-vm/banger/internal/places"
	"github.com/banger-vm/banger/internal/rpc"
	"github.com/banger-vm/banger/internal/store"
	"github.com/banger-vm/banger/internal/unit"
	"github.com/banger-vm/banger/internal/version"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/choose"
	"github.com/banger-vm/banger/internal/vmm/firecracker"
	"github.com/banger-vm/banger/internal/vmm/kvmprobe"
)

// hostFacts are those of this host.
func (x *examiner) hostFacts() host.Facts {
	builder := bootstrap.New(bootstrap.Config{UID: os.Geteuid()}, hostexec.Host{}, x.log)
	return host.Facts{
		Root: os.DirFS("/"), UID: os.Geteuid(), User: userName(), Getenv: os.Getenv, Groups: os.Getgroups,
		Find: func(program string) error {
			_, err := hostexec.LookPath(program)
			return err
		},
		Release: kernelRelease, OpenFiles: openFiles, ClockSynced: clockSynced, Now: time.Now,
		KVM: kvmprobe.OpenDevice, TUN: firecracker.NoTUN, Landlock: sandbox.Available,
		Subordinates: builder.Subordinates,
		Sources: func(ctx context.Context) error {
			_, err := builder.Recipe(ctx)
			return err
		},
		Units: managerFacts{unit.New(unit.SystemConfig())},
	}
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

func userName() string {
	uid := strconv.Itoa(os.Geteuid())
	if u, err := user.LookupId(uid); err == nil {
		return u.Username
	}
	return uid
}

func kernelRelease() (string, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "", fmt.Errorf("asking for the kernel's release: %w", err)
	}
	return unix.ByteSliceToString(name.Release[:]), nil
}

func openFiles() (uint64, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("asking how many files may be open: %w", err)
	}
	return limit.Max, nil
}

func clockSynced() (bool, error) {
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err != nil {
		return false, err
	}
	return t.Status&unix.STA_UNSYNC == 0, nil
}

// ownFacts are those of banger's own things. What several checks ask for is
// looked at once.
func (x *examiner) ownFacts() own.Facts {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "/" // there is no ~/.ssh/config then
	}
	f := own.Facts{
		Places: x.places, UID: os.Geteuid(), User: userName(), Home: home, TempDir: os.TempDir(),
		Version: version.Version, CLI: x.cli,
		Private:    places.CheckPrivate,
		Writable:   func(dir string) error { return unix.Access(dir, unix.W_OK|unix.X_OK) },
		LongSocket: rpc.Long,
		Settings:   func() error { return x.settings },
		Agent:      agentBeside,
		Damaged:    store.Damaged,
	}
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
	d := own.Daemon{PID: lockedBy(x.places.StateDir)}
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

// lockedBy is the process that has the state directory, as it wrote itself; 0
// where nobody has it. It takes no lock, so it is in nobody's way.
func lockedBy(dir string) int {
	f, err := os.Open(filepath.Join(dir, "lock"))
	if err != nil {
		return 0
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err == nil {
		return 0 // closing it gives it back
	}
	text, err := io.ReadAll(io.LimitReader(f, 16))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return pid
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
