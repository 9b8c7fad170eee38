package daemon

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/places"
	"github.com/banger-vm/banger/internal/service"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/choose"
	"github.com/banger-vm/banger/internal/vmm/install"
	"github.com/banger-vm/banger/internal/vmm/qemu"
)

// lookAt makes the VMMs of a host whose QEMU is the given program.
func lookAt(t *testing.T, binary string, settings Settings) (*vmms, error) {
	t.Helper()
	settings.VMMBinary = map[string]string{qemu.DriverName: binary}
	d := &Daemon{log: slog.New(slog.DiscardHandler), settings: settings, places: places.Places{StateDir: t.TempDir(), CacheDir: t.TempDir()}}
	v, err := d.newVMMs(newNetworks())
	if err != nil {
		return nil, err
	}
	v.guest = func(context.Context) (choose.Guest, error) { return choose.Guest{}, nil }
	v.usual = func(ctx context.Context, g choose.Guest) (choose.Choice, error) {
		return v.chooser.Choose(ctx, choose.Want{Network: "user", Accel: vmm.AccelTCG, Guest: g})
	}
	return v, nil
}

func named(t *testing.T, list []service.VMM, name string) service.VMM {
	t.Helper()
	i := slices.IndexFunc(list, func(v service.VMM) bool { return v.Name == name })
	if i < 0 {
		t.Fatalf("%s is not among %v", name, list)
	}
	return list[i]
}

func TestVMMsAreListed(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "qemu")
	if err := os.WriteFile(binary, []byte("#!/bin/sh\necho 'QEMU emulator version 9.8.7'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	v, err := lookAt(t, binary, Settings{})
	if err != nil {
		t.Fatal(err)
	}
	list, err := v.List(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	q := named(t, list, qemu.DriverName)
	if q.Err != nil || q.Info.Version != "9.8.7" || q.Info.Path != binary || q.By != "config.toml" || !slices.Equal(q.Networks, []string{"none", "user"}) {
		t.Errorf("QEMU is %+v", q)
	}
	if q.Usual == nil || q.Usual.Accel != vmm.AccelTCG {
		t.Errorf("the usual choice is %+v", q.Usual)
	}
	if err := os.Remove(binary); err != nil {
		t.Fatal(err)
	}
	list, err = v.List(t.Context(), false)
	if q = named(t, list, qemu.DriverName); err != nil || !errors.Is(q.Err, hostexec.ErrNotInstalled) || q.Usual != nil {
		t.Errorf("a QEMU that is gone is %+v, %v", q, err)
	}
}

func TestSettingsOfUnknownVMMs(t *testing.T) {
	if _, err := lookAt(t, "/opt/qemu", Settings{VMM: "xen"}); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), `vmm in config.toml: there is no VMM "xen"`) {
		t.Errorf("vmm = \"xen\": %v", err)
	}
	for _, known := range []string{"", "auto", qemu.DriverName} {
		if _, err := lookAt(t, "/opt/qemu", Settings{VMM: known}); err != nil {
			t.Errorf("vmm = %q: %v", known, err)
		}
	}
}

// A monitor finds the same programs as its daemon, and may run them.
func TestMonitorsFindTheSamePrograms(t *testing.T) {
	finder := install.Finder{Dir: "/state/vmm", Given: map[string]install.Given{qemu.DriverName: {Path: "/opt/qemu"}}}
	if got := executables(finder); !slices.Equal(got, []string{"/state/vmm", "/opt/qemu"}) {
		t.Errorf("it may run %v", got)
	}
	d := monitorDrivers(finder, driverConfig{cacheDir: t.TempDir()})[qemu.DriverName](slog.New(slog.DiscardHandler))
	if _, err := d.Info(t.Context()); err == nil || !strings.Contains(err.Error(), "/opt/qemu is not installed") {
		t.Errorf("it looks for %v", err)
	}
}
