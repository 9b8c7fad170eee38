package vm

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/banger-vm/banger/internal/claim"
	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/event"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm/access"
	"github.com/banger-vm/banger/internal/vm/capacity"
	"github.com/banger-vm/banger/internal/vm/hook"
	"github.com/banger-vm/banger/internal/vm/live"
	"github.com/banger-vm/banger/internal/vm/spec"
)

// Operations is what a Manager needs of the operation registry.
type Operations interface {
	Begin(ctx context.Context, req operation.Request) (operation.Record, error)
	Wait(ctx context.Context, id string) (operation.Record, error)
	Known(ctx context.Context, kind, key string) (*operation.Record, error)
	Recover(ctx context.Context) error
}

// Image is the part of an image that a VM needs.
type Image struct {
	ID       string
	Root     disk.Base
	SkelDir  string
	SeedsDir string // for prepared work disks
	User     string
	UID      int
	GID      int
}

// Images gives VMs their base.
type Images interface {
	// Ensure returns the image, making it first where banger knows how. It
	// cannot be deleted until release is called.
	Ensure(ctx context.Context, name, holder string, report operation.Report) (img Image, release func(), err error)
	Get(ctx context.Context, id string) (Image, error)
}

// Kernel is the part of a kernel that a VM needs.
type Kernel struct {
	ID   string
	Name string
	// Lacks names the drivers that it has not, of those that some VMM, disk or
	// network needs.
	Lacks     []string
	Vmlinux   string
	Initramfs string // with the current banger-guest
	Modules   string // ext4 image
}

// Kernels gives VMs their kernel.
type Kernels interface {
	// Find says what Ensure would return, but makes nothing: of a default one
	// that is not there yet only the name is known.
	Find(ctx context.Context, name string) (Kernel, error)
	// Ensure returns the kernel of that name, by "" the default one, which is
	// made first where it is not there; where its files are is for Get to say.
	// It cannot be deleted until release is called.
	Ensure(ctx context.Context, name, holder string, report operation.Report) (k Kernel, release func(), err error)
	Get(ctx context.Context, id string) (Kernel, error)
}

// WorkDisks makes work disks.
type WorkDisks interface {
	// Make makes the work disk at path; one that is there is left as it is.
	Make(ctx context.Context, path string, sizeBytes int64, img Image) error
}

// Units is the service manager that holds the VMs' units.
type Units interface {
	// Reduced says in sentences what ends VMs that are in its units.
	Reduced() []string
}

// Config has the places and settings of a Manager.
type Config struct {
	Dir         string // holds one directory per VM
	BootTimeout time.Duration
	StopTimeout time.Duration
	Now         func() time.Time
	Defaults    spec.Defaults // of a VM that asks for less
	DriveLimit  disk.Limit    // of each drive, from a VM's next start on
	Host        Host
}

// Parts are what a Manager is made of.
type Parts struct {
	Store    Store
	Runtime  machine.Runtime
	Ports    machine.Ports
	Pauser   machine.Pauser
	Resizer  machine.Resizer
	Vitals   machine.Vitals
	Images   Images
	Kernels  Kernels
	Work     WorkDisks
	VMMs     VMMs
	Units    Units // nil: there is none
	Access   *access.Files
	Capacity *capacity.Judge // nil: every start is let in
	Disks    map[string]disk.Driver
	Networks map[string]network.Driver
	Claims   *claim.Table
	Events   event.Publisher
	Log      *slog.Logger
	// Ended is told of a VM whose boot or start has ended, once its end is
	// stored, perhaps more than once; it does not block. Nil: nobody wants to know.
	Ended func(id string)
	// Preflight finds what would make a VM's making or start fail and nobody
	// else looks for, in no time worth speaking of; nil: nobody does.
	Preflight func(ctx context.Context) error
	// Capabilities are what VMs are given besides their machines.
	Capabilities []hook.Capability
}

func (p Parts) preflight(ctx context.Context) error {
	if p.Preflight == nil {
		return nil
	}
	return p.Preflight(ctx)
}

// Manager runs the lives of all VMs of a state directory.
type Manager struct {
	Parts
	cfg Config
	ops Operations

	watchers sync.WaitGroup
	ctx      context.Context // ends the watchers
	cancel   context.CancelFunc
	// recovered is closed once nothing that was interrupted can be mistaken
	// for a VM that nobody works on.
	recovered chan struct{}

	live  *live.Set
	hooks *hook.Set
}

// New makes a Manager. Its planners (Planners) go into the registry that is
// handed over with Start.
func New(parts Parts, cfg Config) *Manager {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.BootTimeout == 0 {
		cfg.BootTimeout = 3 * time.Minute
	}
	if cfg.StopTimeout == 0 {
		cfg.StopTimeout = time.Minute
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &Manager{Parts: parts, cfg: cfg, ctx: ctx, cancel: cancel, recovered: make(chan struct{})}
	m.hooks = hook.NewSet(hooked{m}, parts.Log, parts.Capabilities)
	m.live = live.NewSet(ctx, parts.Runtime, keeper{m}, parts.Log, m.dir)
	return m
}

// joinWait bounds how long a VM whose monitor does not answer keeps the others
// waiting; it is joined when it does.
const joinWait = 3 * time.Second

// Start is all that a daemon does before it serves: it joins the VMs that run,
// puts those right that ended meanwhile, has what was interrupted taken up, and
// then begins to delete those that ended and were made to be thrown away.
func (m *Manager) Start(ctx context.Context, ops Operations) error {
	m.ops = ops
	records, err := m.Store.VMs(ctx)
	if err != nil {
		return err
	}
	var joining sync.WaitGroup
	for _, r := range records {
		switch {
		case r.MayRun():
			joining.Add(1)
			m.watchers.Go(func() { m.join(r, sync.OnceFunc(joining.Done)) })
		case r.Boot != nil && r.Spec.AutoRemove:
			m.watchers.Go(func() { m.afterEnd(r.ID) })
		}
	}
	done := make(chan struct{})
	go func() { joining.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(joinWait):
		m.Log.Warn("some monitors do not answer yet")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if len(records) > 0 {
		m.tellSSH(ctx) // the settings may have changed
	}
	if err := ops.Recover(ctx); err != nil {
		return err
	}
	close(m.recovered)
	return nil
}

// join finds out what became of a boot that the store believes to run, however
// long that takes; first is told after the first try.
func (m *Manager) join(r Record, first func()) {
	ended := false
	err := retry(m.ctx, func() error {
		defer first()
		if ended = m.outlived(*r.Boot); ended {
			return m.ended(m.ctx, r.ID, r.Boot.ID, nil)
		}
		s, err := m.Runtime.Status(m.ctx, m.dir(r.ID))
		if ended = errors.Is(err, machine.ErrNotRunning); ended {
			return m.ended(m.ctx, r.ID, r.Boot.ID, nil)
		}
		if err == nil {
			err = m.takeUp(m.ctx, r, s)
		}
		return err
	}, func(err error) {
		m.Log.Error("joining a VM failed, trying again", "vm", r.ID, "name", r.Spec.Name, "err", err)
	})
	if err == nil && ended {
		m.afterEnd(r.ID)
	}
}

// Close stops watching; the VMs run on.
func (m *Manager) Close() {
	m.cancel()
	m.live.Wait()
	m.watchers.Wait()
}

func (m *Manager) dir(id string) string { return filepath.Join(m.cfg.Dir, id) }

func target(id string) string { return "vm/" + id }

// liveStatus returns what is known of a running VM, nil if none runs.
func (m *Manager) liveStatus(id string) *machine.Status { return m.live.Status(id) }

// Inspect returns one VM.
func (m *Manager) Inspect(ctx context.Context, ref string) (View, error) {
	r, err := m.Store.VM(ctx, ref)
	if err != nil {
		return View{}, err
	}
	return m.view(r), nil
}

// List returns the VMs that have all these labels (spec.Selector), by name; only
// those with something running unless all.
func (m *Manager) List(ctx context.Context, all bool, labels ...string) ([]View, error) {
	chosen := spec.Selector(labels)
	if err := chosen.Check(); err != nil {
		return nil, err
	}
	records, err := m.Store.VMs(ctx)
	if err != nil {
		return nil, err
	}
	views := make([]View, 0, len(records))
	for _, r := range records {
		if !chosen.Match(r.Spec.Labels) {
			continue
		}
		v := m.view(r)
		if all || v.Live != nil || r.MayRun() || v.State == Starting || v.State == Creating {
			views = append(views, v)
		}
	}
	return views, nil
}

// ImageUsers names the VMs that stand on an image.
func (m *Manager) ImageUsers(ctx context.Context, imageID string) ([]string, error) {
	return m.users(ctx, func(r Record) bool { return r.ImageID == imageID })
}

// KernelUsers names the VMs that run on a kernel, or will at their next start.
func (m *Manager) KernelUsers(ctx context.Context, kernelID string) ([]string, error) {
	return m.users(ctx, func(r Record) bool { return r.KernelID == kernelID })
}

func (m *Manager) users(ctx context.Context, of func(Record) bool) ([]string, error) {
	records, err := m.Store.VMs(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, r := range records {
		if of(r) {
			names = append(names, r.Spec.Name)
		}
	}
	return names, nil
}

// removeDir removes a VM's directory, which holds nothing but banger's files.
func (m *Manager) removeDir(id string) error {
	if _, err := hex.DecodeString(id); err != nil || id == "" {
		return fault.New(fault.Internal, "", "refusing to remove the directory of a VM with the ID %q", id)
	}
	err := os.RemoveAll(m.dir(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
