package daemon

import (
	"context"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/disk/workdisk"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/image"
	"github.com/banger-vm/banger/internal/kernel"
	"github.com/banger-vm/banger/internal/kernel/registry"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vmm/choose"
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
	img, err := s.images.Get(ctx, id)
	return vmImage(img), err
}

func vmImage(i image.Image) vm.Image {
	return vm.Image{
		ID: i.ID, Root: disk.Base{Path: i.Path, SizeBytes: i.SizeBytes}, SkelDir: i.SkelDir, SeedsDir: i.SeedsDir,
		User: i.User, UID: i.UID, GID: i.GID,
	}
}

// kernelSource gives internal/vm kernels with the current banger-guest.
type kernelSource struct {
	library *kernel.Library
	named   *registry.Registry
	guest   string
}

func (s kernelSource) Find(ctx context.Context, name string) (vm.Kernel, error) {
	if name == "" {
		name = registry.Default
	}
	k, err := s.named.Find(ctx, name)
	if name == registry.Default && fault.KindOf(err) == fault.NotFound {
		return vm.Kernel{Name: name}, nil
	}
	return vm.Kernel{ID: k.ID, Name: k.Name, Lacks: k.Lacks}, err
}

func (s kernelSource) Ensure(ctx context.Context, name, holder string, report operation.Report) (vm.Kernel, func(), error) {
	k, release, err := s.named.Ensure(ctx, name, holder, registry.Progress(report))
	return vm.Kernel{ID: k.ID, Name: k.Name, Lacks: k.Lacks}, release, err
}

func (s kernelSource) Get(ctx context.Context, id string) (vm.Kernel, error) {
	k, err := s.library.Get(id)
	if err != nil {
		return vm.Kernel{}, err
	}
	initramfs, err := s.library.Initramfs(ctx, k, s.guest)
	if err != nil {
		return vm.Kernel{}, err
	}
	named, err := s.named.Get(ctx, id)
	if fault.KindOf(err) == fault.NotFound { // of a daemon that knew no names, and not the default one any more
		named.Name, err = k.Release, nil
	}
	return vm.Kernel{
		ID: k.ID, Name: named.Name, Lacks: k.Lacks,
		Vmlinux: k.Vmlinux, Initramfs: initramfs, Modules: k.ModulesDisk,
	}, err
}

// Guest is the default kernel, for drivers to try KVM with; zero until one is there.
func (s kernelSource) Guest(ctx context.Context) (choose.Guest, error) {
	k, err := s.library.Default()
	if fault.KindOf(err) == fault.NotFound {
		return choose.Guest{}, nil
	}
	if err != nil {
		return choose.Guest{}, err
	}
	initramfs, err := s.library.Initramfs(ctx, k, s.guest)
	return choose.Guest{Kernel: k.Vmlinux, Initramfs: initramfs}, err
}

// workDisks makes work disks, which are prepared beside the image.
type workDisks struct{ seeds *workdisk.Seeds }

func (w workDisks) Make(ctx context.Context, path string, size int64, img vm.Image) error {
	return w.seeds.Make(ctx, img.SeedsDir, path, size, workdisk.Home{Skel: img.SkelDir, UID: img.UID, GID: img.GID})
}
