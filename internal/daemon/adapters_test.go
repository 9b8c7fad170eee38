package daemon

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/kernel"
	"github.com/banger-vm/banger/internal/kernel/kerneltest"
	"github.com/banger-vm/banger/internal/kernel/local"
	"github.com/banger-vm/banger/internal/kernel/registry"
	"github.com/banger-vm/banger/internal/store"
)

// A VM's kernel is found by its ID alone: one that was made before kernels had
// names, and is not the default one any more, has no record.
func TestKernelWithoutRecord(t *testing.T) {
	dir, log := t.TempDir(), slog.New(slog.DiscardHandler)
	db, err := store.Open(t.Context(), filepath.Join(dir, "banger.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	vmlinuz, guest, modules := filepath.Join(dir, "vmlinuz"), filepath.Join(dir, "banger-guest"), filepath.Join(dir, "modules")
	err = errors.Join(
		os.WriteFile(vmlinuz, kerneltest.Vmlinuz(kerneltest.Vmlinux(2000, nil)), 0o600),
		os.WriteFile(guest, []byte("program"), 0o700),
		kerneltest.WriteTree(modules, kerneltest.Release, kerneltest.Dep, nil),
	)
	if err != nil {
		t.Fatal(err)
	}
	library := kernel.New(kernel.Config{Dir: filepath.Join(dir, "kernels")}, nil, kerneltest.Host(kerneltest.Dep), log)
	s := kernelSource{library, registry.New(db, library, log, registry.Config{}), guest}
	const id = "00112233aabbccdd"
	if _, err := library.Import(t.Context(), id, local.New(vmlinuz, modules), func(string, int64, int64) {}); err != nil {
		t.Fatal(err)
	}
	if k, err := s.Find(t.Context(), ""); err != nil || k.Name != registry.Default || k.ID != "" {
		t.Errorf("the default one, which is not there yet: %+v, %v", k, err)
	}
	if _, err := s.Find(t.Context(), "none"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("an unknown one: %v", err)
	}
	k, err := s.Get(context.Background(), id)
	if err != nil || k.ID != id || k.Name != kerneltest.Release || !slices.Equal(k.Lacks, []string{"vmw_vsock_virtio_transport", "pvh"}) {
		t.Errorf("%+v, %v", k, err)
	}
	for _, path := range []string{k.Vmlinux, k.Initramfs, k.Modules} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}
