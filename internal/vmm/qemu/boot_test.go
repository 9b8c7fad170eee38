package qemu_test

import (
	"bufio"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/qemu"
	"github.com/banger-vm/banger/internal/vmm/vmmtest"
	"github.com/banger-vm/banger/internal/vmm/vmmtest/lab"
)

func newDriver(t *testing.T) *qemu.Driver {
	return qemu.New(hostexec.Host{}, slog.New(slog.NewTextHandler(t.Output(), nil)), qemu.Config{CacheDir: lab.Verdicts(t)})
}

func start(t *testing.T, d *qemu.Driver, spec vmm.Spec) vmm.Machine {
	t.Helper()
	m, err := d.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Kill(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return m
}

// readUntil reads the console until a line that holds want.
func readUntil(t *testing.T, m vmm.Machine, want string) []string {
	t.Helper()
	c, err := m.Console(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(vmmtest.Timeout, func() { _ = c.Close() })
	defer timer.Stop()
	var lines []string
	for s := bufio.NewScanner(c); s.Scan(); {
		lines = append(lines, s.Text())
		if strings.Contains(s.Text(), want) {
			return lines
		}
	}
	t.Fatalf("the console ended without %q:\n%s", want, strings.Join(lines, "\n"))
	return nil
}

func TestRealProbeBoot(t *testing.T) {
	began := time.Now()
	m := start(t, newDriver(t), scriptedSpec(t, lab.LongDir(t), "banger.probe"))
	up := time.Since(began)
	lines := readUntil(t, m, "BANGER-PROBE-OK")
	t.Logf("vCPUs running after %v, answer after %v\n%s", up, time.Since(began), strings.Join(lines, "\n"))
	exit, err := m.Wait(t.Context())
	if err != nil || exit.Reason != vmm.ExitPoweroff {
		t.Errorf("Wait = %+v, %v", exit, err)
	}
	t.Logf("gone after %v", time.Since(began))
}
