package control

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/banger-vm/banger/internal/calm"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/unit"
	"github.com/banger-vm/banger/internal/vmm"
)

// fakeUnits is a service manager that starts nothing.
type fakeUnits struct {
	absent   bool
	refuse   error
	left     []int
	of       map[int]string
	started  []unit.Service
	enclosed []unit.Scope
	stdin    os.FileMode // of what the last service got
}

func (f *fakeUnits) Present() bool { return !f.absent }

func (f *fakeUnits) Start(_ context.Context, s unit.Service) error {
	info, err := s.Stdin.Stat()
	if err != nil {
		return err
	}
	f.stdin, s.Stdin, s.Stderr, s.Env = info.Mode(), nil, nil, nil
	f.started = append(f.started, s)
	return f.refuse
}

func (f *fakeUnits) Enclose(_ context.Context, s unit.Scope) error {
	f.enclosed = append(f.enclosed, s)
	return f.refuse
}

func (f *fakeUnits) Leftovers(context.Context, string) ([]int, error) { return f.left, nil }

func (f *fakeUnits) Of(pid int) (string, error) {
	if name, ok := f.of[pid]; ok {
		return name, nil
	}
	return "", os.ErrProcessDone
}

// spawning makes a Runtime whose monitor is /bin/true, and a VM's directory.
func spawning(t *testing.T, f *fakeUnits) (*Runtime, string, *bytes.Buffer) {
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(io.MultiWriter(&said, t.Output()), nil))
	return New(log, Config{Program: "/bin/true", Args: []string{"--cache-dir", "/c"}, Units: f}), filepath.Join(t.TempDir(), "4711"), &said
}

var launch = machine.Launch{VMID: "4711", BootID: "b", Spec: vmm.Spec{Name: "dev"}}

func TestMonitorIsAService(t *testing.T) {
	f := &fakeUnits{left: []int{12}}
	r, dir, _ := spawning(t, f)
	if err := errors.Join(os.Mkdir(dir, 0o700), r.exec(t.Context(), dir, launch, true)); err != nil {
		t.Fatal(err)
	}
	want := []unit.Service{{
		Name: "banger-monitor-4711.service", Description: "The monitor of banger's VM dev", Program: "/bin/true",
		Args: []string{"monitor", "--name", "dev", "--dir", dir, "--listen-fd", "0", "--cache-dir", "/c", "--adopt"}, Dir: dir, Slack: calm.Late,
	}}
	if diff := cmp.Diff(want, f.started); diff != "" {
		t.Errorf("started (-want +got):\n%s", diff)
	}
	if f.stdin.Type() != os.ModeSocket {
		t.Errorf("it is handed over: %v", f.stdin)
	}
	scopes := []unit.Scope{{Name: "banger-vmm-4711.scope", Description: "The VMM of banger's VM dev", PIDs: []int{12}}}
	if diff := cmp.Diff(scopes, f.enclosed); diff != "" {
		t.Errorf("what the last monitor left (-want +got):\n%s", diff)
	}
}

// A VM without a unit is better than none; that it has none is said.
func TestMonitorWithoutAUnit(t *testing.T) {
	for name, f := range map[string]*fakeUnits{
		"refused":  {refuse: errors.New("no more units today")},
		"it left":  {refuse: unit.ErrNone},
		"absent":   {absent: true},
		"no units": nil,
	} {
		t.Run(name, func(t *testing.T) {
			r, dir, said := spawning(t, f)
			if f == nil {
				r.cfg.Units = nil
			}
			if err := errors.Join(os.Mkdir(dir, 0o700), r.exec(t.Context(), dir, launch, false)); err != nil {
				t.Errorf("spawn = %v", err)
			}
			if told := strings.Contains(said.String(), "no more units today"); told != (name == "refused") {
				t.Errorf("the log: %s", said)
			}
		})
	}
	f := &fakeUnits{refuse: errors.New("too late")}
	r, dir, _ := spawning(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := errors.Join(os.Mkdir(dir, 0o700), r.exec(ctx, dir, launch, false)); !errors.Is(err, context.Canceled) {
		t.Errorf("of a start that was cancelled: %v", err)
	}
}

func TestUnitsAreWhatTheKernelSays(t *testing.T) {
	f := &fakeUnits{of: map[int]string{1: "banger-monitor-4711.service", 2: "banger-vmm-4711.scope", 3: "session-1.scope", 4: ""}}
	r, _, _ := spawning(t, f)
	for _, c := range []struct {
		monitor, vmm int
		phase        machine.Phase
		units        []string
		reduced      []string
	}{
		{1, 2, machine.PhaseRunning, []string{"banger-monitor-4711.service", "banger-vmm-4711.scope"}, nil},
		{3, 2, machine.PhaseRunning, []string{"banger-vmm-4711.scope"}, []string{"Its monitor has no unit of its own, and may end with session-1.scope."}},
		{1, 1, machine.PhaseStarting, []string{"banger-monitor-4711.service"}, []string{"Its VMM has no unit of its own, and may end with banger-monitor-4711.service."}},
		{1, 4, machine.PhaseRunning, []string{"banger-monitor-4711.service"}, []string{"Its VMM is in no unit of systemd."}},
		{1, 5, machine.PhaseRunning, []string{"banger-monitor-4711.service"}, nil}, // it is gone
		{3, 0, machine.PhaseStarting, nil, nil}, // too early to tell
		{3, 3, machine.PhaseExited, nil, nil},
	} {
		s := machine.Status{VMID: "4711", MonitorPID: c.monitor, VMM: vmm.Facts{PID: c.vmm}, Phase: c.phase}
		r.nameUnits(&s)
		if !cmp.Equal(s.Units, c.units) || !cmp.Equal(s.Reduced, c.reduced) {
			t.Errorf("%+v: %q, %q", c, s.Units, s.Reduced)
		}
	}
	f.absent = true
	s := machine.Status{VMID: "4711", MonitorPID: 3, VMM: vmm.Facts{PID: 3}}
	if r.nameUnits(&s); s.Units != nil || s.Reduced != nil {
		t.Errorf("without a manager: %q, %q", s.Units, s.Reduced)
	}
}
