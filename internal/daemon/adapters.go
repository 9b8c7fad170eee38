package daemon

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/disk/workdisk"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/image"
	"github.com/banger-vm/banger/internal/kernel"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vmm"
)

// imageSource gives internal/vm images, making one on first use.
type imageSource struct {
	images *image.Registry
	ops    func() *operation.Registry
}

func (s imageSource) Ensure(ctx context.Context, name, holder string, report operation.Report) (vm.Image, func(), error) {
	img, err := s.images.Ensure(ctx, name, s.ops(), report)
	if err != nil {
		return vm.Image{}, nil, err
	}
	release, err := s.images.Lease(ctx, img.ID, holder)
	return vmImage(img), release, err
}

func (s imageSource) Get(ctx context.Context, id string) (vm.Image, error) {
	img, err := s.images.Find(ctx, id)
	return vmImage(img), err
}

func vmImage(i image.Image) vm.Image {
	return vm.Image{
		ID: i.ID, Root: disk.Base{Path: i.Path, SizeBytes: i.SizeBytes}, SkelDir: i.SkelDir,
		User: i.User, UID: i.UID, GID: i.GID,
	}
}

// kernelSource gives internal/vm kernels with the current banger-guest.
type kernelSource struct {
	library *kernel.Library
	guest   string
}

func (s kernelSource) Ensure(ctx context.Context, report operation.Report) (string, error) {
	k, err := s.library.Ensure(ctx, func(phase string, done, total int64) {
		report(operation.Progress{Phase: phase, Done: done, Total: total, Unit: "bytes"})
	})
	return k.ID, err
}

func (s kernelSource) Get(ctx context.Context, id string) (vm.Kernel, error) {
	k, err := s.library.Get(id)
	if err != nil {
		return vm.Kernel{}, err
	}
	initramfs, err := s.library.Initramfs(ctx, k, s.guest)
	return vm.Kernel{ID: k.ID, Vmlinux: k.Vmlinux, Initramfs: initramfs, Modules: k.ModulesDisk}, err
}

// workDisks makes work disks with the host's e2fsprogs.
type workDisks struct{ run hostexec.Runner }

func (w workDisks) Make(ctx context.Context, path string, size int64, img vm.Image) error {
	return workdisk.Make(ctx, w.run, path, size, img.SkelDir, img.UID, img.GID)
}

// vmms chooses among the VMM drivers.
type vmms struct {
	drivers map[string]vmm.Driver
	prefer  string // the configuration's; "" and auto: any that works
}

func (v vmms) Choose(ctx context.Context, name string) (string, error) {
	if name == "" || name == "auto" {
		name = or(v.prefer, "auto")
	}
	if name == "auto" {
		name = "qemu"
	}
	d, ok := v.drivers[name]
	if !ok {
		var known []string
		for n := range v.drivers {
			known = append(known, n)
		}
		slices.Sort(known)
		return "", fault.New(fault.Invalid, "Use auto or one of: "+strings.Join(known, ", ")+".", "there is no VMM %q", name)
	}
	if _, err := d.Info(ctx); err != nil {
		return "", fmt.Errorf("the VMM %s does not work here: %w", name, err)
	}
	return name, nil
}

func (v vmms) Reduced(driver string, s machine.Status) []string {
	if driver == "qemu" && s.VMM.Accel == vmm.AccelTCG {
		return []string{"The guest runs under QEMU's TCG: slower than KVM, and QEMU makes no security promise for it."}
	}
	return s.VMM.Reduced
}
