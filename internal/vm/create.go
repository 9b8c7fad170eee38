package vm

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm/hook"
	"github.com/banger-vm/banger/internal/vm/spec"
	"github.com/banger-vm/banger/internal/vm/sshkey"
)

// createParams are all that a create needs, chosen before it begins.
type createParams struct {
	ID        string  `json:"id"`
	MachineID string  `json:"machine_id"`
	Spec      spec.VM `json:"spec"`
	DiskAsked bool    `json:"disk_asked,omitempty"` // for the very disk driver
	Start     bool    `json:"start"`
	BootID    string  `json:"boot_id"`
	Force     bool    `json:"force,omitempty"`
	// Brought is where what the request brought was put, by capability.
	Brought map[string]string `json:"brought,omitempty"`
}

// Creation is how a VM is made.
type Creation struct {
	Start bool // it is started as part of the same operation
	Force bool // whether this host can carry it or not
}

// Create begins the creation of a VM, and its first start if asked.
func (m *Manager) Create(ctx context.Context, asked spec.VM, how Creation, key string, given ...Given) (operation.Record, error) {
	return m.once(ctx, KindCreate, key, func() (operation.Record, error) { return m.create(ctx, asked, how, key, given) })
}

func (m *Manager) create(ctx context.Context, asked spec.VM, how Creation, key string, given []Given) (operation.Record, error) {
	s := asked.WithDefaults(m.cfg.Defaults)
	if s.Name == "" {
		s.Name = spec.MadeUpName()
	}
	if err := s.Check(); err != nil {
		return operation.Record{}, err
	}
	if err := m.checkDisk(ctx, asked.DiskDriver, s.DiskDriver); err != nil {
		return operation.Record{}, err
	}
	if err := m.checkNetwork(&s); err != nil {
		return operation.Record{}, err
	}
	p := createParams{
		ID: newID(6), MachineID: newID(16), Spec: s, DiskAsked: asked.DiskDriver != "", Start: how.Start, BootID: newID(8), Force: how.Force,
	}
	if err := errors.Join(m.checkKernel(ctx, p), m.preflight(ctx), m.admitsNew(ctx, p)); err != nil {
		return operation.Record{}, err
	}
	return m.beginGiven(ctx, given, p.ID, func(brought map[string]string) operation.Request {
		p.Brought = brought
		return operation.Request{Kind: KindCreate, Target: target(p.ID), Name: s.Name, Key: key, Params: p}
	})
}

func newID(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b)
	return hex.EncodeToString(b)
}

func (m *Manager) diskDriver(name string) (disk.Driver, error) {
	if d, ok := m.Disks[name]; ok {
		return d, nil
	}
	names := slices.Sorted(maps.Keys(m.Disks))
	return nil, fault.New(fault.Invalid, "Use one of: "+strings.Join(names, ", ")+".", "there is no disk driver %q", name)
}

// checkDisk refuses a disk driver that does not exist, and one that was asked for
// and cannot work here, before an image is made for it.
func (m *Manager) checkDisk(ctx context.Context, asked, name string) error {
	d, err := m.diskDriver(name)
	if err != nil || asked == "" {
		return err
	}
	return d.Check(ctx, m.cfg.Dir)
}

// Planners are the plans of this package's operations.
func (m *Manager) Planners() map[string]operation.Planner {
	return map[string]operation.Planner{
		KindCreate: m.planCreate,
		KindStart:  m.planStart,
		KindStop:   m.planStop,
		KindKill:   m.planKill,
		KindDelete: m.planDelete,

		KindRestart: m.planRestart,
		KindPause:   m.planPause,
		KindResume:  m.planResume,
		KindRename:  m.planRename,
		KindForward: m.planForward,
	}
}

// planCreate: the name is reserved first, so that two creates of one name
// never both work; the record is marked whole last.
func (m *Manager) planCreate(op operation.Record) (operation.Plan, error) {
	var p createParams
	if err := json.Unmarshal(op.Params, &p); err != nil {
		return operation.Plan{}, fmt.Errorf("reading the parameters of %s: %w", op.ID, err)
	}
	plan := operation.Plan{
		Steps: []operation.Step{
			{
				Name: "reserve the name",
				Do:   func(ctx context.Context, _ operation.Report) error { return m.reserve(ctx, p) },
				Undo: func(ctx context.Context) error { return m.Store.DeleteVM(ctx, p.ID) },
			},
			{
				Name: "find the image",
				Done: m.recorded(p.ID, func(r Record) bool { return r.ImageID != "" }),
				Do:   func(ctx context.Context, r operation.Report) error { return m.bindImage(ctx, p, r) },
			},
			{
				Name: "find the kernel",
				Done: m.recorded(p.ID, func(r Record) bool { return r.KernelID != "" }),
				Do:   func(ctx context.Context, r operation.Report) error { return m.bindKernel(ctx, p, r) },
			},
			{
				// With the kernel, because KVM may work for one and not for another.
				Name: "choose the VMM",
				Done: m.recorded(p.ID, func(r Record) bool { return r.Choice.VMM != "" }),
				Do: func(ctx context.Context, r operation.Report) error {
					return m.chooseVMM(ctx, p.ID, p.Spec.VMM, r)
				},
			},
			{
				Name: "make the disks",
				Do:   func(ctx context.Context, r operation.Report) error { return m.makeDisks(ctx, p, r) },
				Undo: func(context.Context) error { return m.removeDir(p.ID) },
			},
			{
				// From here on it is a VM, whose disks hold somebody's work: a
				// start that fails does not take it away again.
				Name: "record it", Keep: true,
				Done: m.recorded(p.ID, func(r Record) bool { return r.Made }),
				Do:   func(ctx context.Context, _ operation.Report) error { return m.setMade(ctx, p.ID) },
			},
		},
		Result: func() any { return m.created(p.ID) },
		Fail: func(ctx context.Context, _ error) {
			m.givenUp(ctx, p.ID, p.Brought)
			m.removeUnneeded(p.ID)
		},
	}
	plan.Steps = slices.Insert(plan.Steps, len(plan.Steps)-1, m.hooks.Steps(hook.Create, p.ID, p.Brought)...)
	if p.Start {
		plan.Steps = append(plan.Steps, m.startSteps(startParams{ID: p.ID, BootID: p.BootID, Force: p.Force})...)
	}
	return plan, nil
}

// recorded makes a check of what the store knows of a VM.
func (m *Manager) recorded(id string, known func(Record) bool) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		r, err := m.Store.VMByID(ctx, id)
		if err != nil {
			return false, fault.Except(err, fault.NotFound)
		}
		return known(r), nil
	}
}

// reserve stores the VM's record; a record of this very VM is its own.
func (m *Manager) reserve(ctx context.Context, p createParams) error {
	if _, err := m.Store.VMByID(ctx, p.ID); err == nil {
		return nil
	} else if fault.KindOf(err) != fault.NotFound {
		return err
	}
	return m.Store.InsertVM(ctx, Record{ID: p.ID, Spec: p.Spec, MachineID: p.MachineID, CreatedAt: m.cfg.Now().UTC()})
}

func (m *Manager) bindImage(ctx context.Context, p createParams, report operation.Report) error {
	img, release, err := m.Images.Ensure(ctx, p.Spec.Image, p.Spec.Name, report)
	if err != nil {
		return err
	}
	defer release() // from then on the record keeps the image
	return m.update(ctx, p.ID, func(r *Record) { r.ImageID, r.User = img.ID, img.User })
}

// makeDisks makes the VM's directory and all four drives in it.
func (m *Manager) makeDisks(ctx context.Context, p createParams, report operation.Report) error {
	phase(report, "making the disks")
	begin := m.cfg.Now()
	r, err := m.Store.VMByID(ctx, p.ID)
	if err != nil {
		return err
	}
	img, err := m.Images.Get(ctx, r.ImageID)
	if err != nil {
		return err
	}
	dir := m.dir(p.ID)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the VM's directory: %w", err)
	}
	driver, err := m.diskDriver(r.Spec.DiskDriver)
	if err != nil {
		return err
	}
	if err := driver.Check(ctx, dir); err != nil {
		return err
	}
	if _, err := driver.Create(ctx, dir, img.Root); err != nil {
		return err
	}
	if err := m.Work.Make(ctx, filepath.Join(dir, workDisk), p.Spec.DiskBytes, img); err != nil {
		return err
	}
	if _, err := sshkey.Ensure(dir, sshkey.Host); err != nil { // it is known before the first boot
		return err
	}
	took := m.cfg.Now().Sub(begin)
	return m.update(ctx, p.ID, func(r *Record) { r.DiskMS = float64(took) / float64(time.Millisecond) })
}

func (m *Manager) setMade(ctx context.Context, id string) error {
	if err := m.update(ctx, id, func(r *Record) { r.Made = true }); err != nil {
		return err
	}
	m.tellSSH(ctx)
	return nil
}

// update changes a stored record; change does no I/O.
func (m *Manager) update(ctx context.Context, id string, change func(*Record)) error {
	return m.Store.ChangeVM(ctx, id, func(r *Record) bool {
		change(r)
		return true
	})
}
