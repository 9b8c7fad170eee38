package firecracker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/monitor/sandbox"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/rundir"
	"github.com/banger-vm/banger/internal/vmm/vmmtest/lab"
)

// The process of a VMM sees its own files and nothing else, and can do nothing.
func TestRealEnclosure(t *testing.T) {
	cfg := realConfig(t)
	kernel, initramfs := lab.Needs(t)
	spec := fakeSpec(t)
	spec.Kernel, spec.Initramfs = kernel, initramfs
	d := newReal(t, cfg)
	m, err := d.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	defer m.Kill(context.Background())
	if f := m.Facts(); f.Isolation != vmm.IsolationNamespaces || len(f.Reduced) > 0 {
		t.Fatalf("Facts = %+v", f)
	}
	proc := fmt.Sprintf("/proc/%d", m.Facts().PID)
	for _, ns := range []string{"user", "mnt", "pid", "ipc", "uts", "net"} {
		ours, err1 := os.Readlink("/proc/self/ns/" + ns)
		theirs, err2 := os.Readlink(proc + "/ns/" + ns)
		if err := errors.Join(err1, err2); err != nil || ours == theirs {
			t.Errorf("the %s namespace is %s, ours %s, %v", ns, theirs, ours, err)
		}
	}
	status, err := os.ReadFile(proc + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000",
		"CapBnd:\t0000000000000000", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2",
	} {
		if !strings.Contains(string(status), want+"\n") {
			t.Errorf("its status has no %q:\n%s", want, status)
		}
	}
	var seen []string
	root := proc + "/root/"
	err = filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			seen = append(seen, "/"+strings.TrimPrefix(path, root))
		}
		return err
	})
	slices.Sort(seen)
	want := []string{
		"/dev/kvm", "/initramfs", "/kernel", "/program",
		"/run/api.sock", "/run/console.in", "/run/console.out", "/run/log", "/run/metrics", "/run/v.sock", "/run/" + fileBell,
		"/vda", "/vdb", "/vdc", "/vdd",
	}
	if err != nil || !slices.Equal(seen, want) {
		t.Errorf("it sees %q, %v", seen, err)
	}
	mounts, err := os.ReadFile(proc + "/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		writable := slices.Contains([]string{"/run", "/vdb", "/vdc", "/dev/kvm"}, f[4])
		if ro := slices.Contains(strings.Split(f[5], ","), "ro"); ro == writable || !strings.Contains(f[5], "nosuid") {
			t.Errorf("a mount is wrong: %s", line)
		}
	}
	net, err := os.ReadFile(proc + "/net/dev")
	if err != nil || strings.Count(string(net), ":") != 1 {
		t.Errorf("its network is, %v:\n%s", err, net)
	}
}

// confinedArg makes the test program one that confines itself as a monitor
// does, and then starts its VMM twice: the second time after a reboot.
const confinedArg = "confined"

type confinedTask struct {
	Config Config
	Spec   vmm.Spec
}

type confinedResult struct {
	Err   string
	Facts []vmm.Facts
	Exits []vmm.Exit
}

func confinedMain(encoded string) int {
	var task confinedTask
	result := confinedResult{}
	err := json.Unmarshal([]byte(encoded), &task)
	if err == nil {
		err = runConfined(task, &result)
	}
	if err != nil {
		result.Err = err.Error()
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		return 1
	}
	return 0
}

func runConfined(task confinedTask, result *confinedResult) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	d := New(hostexec.Host{}, slog.New(slog.NewTextHandler(os.Stderr, nil)), task.Config)
	d.device = func() string { return "" }
	if err := sandbox.NoNewPrivileges(); err != nil {
		return err
	}
	programs, err := d.Stage(ctx, task.Spec)
	if err != nil {
		return err
	}
	rules := []sandbox.Rule{
		{Path: task.Spec.Dir, Access: sandbox.Write},
		{Path: task.Spec.Kernel, Access: sandbox.Read},
		{Path: task.Spec.Initramfs, Access: sandbox.Read},
		{Path: "/proc", Access: sandbox.Read},
		{Path: "/dev/kvm", Access: sandbox.Write},
		{Path: "/dev/null", Access: sandbox.Write},
	}
	for _, path := range programs {
		rules = append(rules, sandbox.Rule{Path: path, Access: sandbox.Exec})
	}
	if err := sandbox.Confine(rules); err != nil && !errors.Is(err, sandbox.ErrUnavailable) {
		return err
	}
	for range 2 {
		m, err := d.Start(ctx, task.Spec)
		if err != nil {
			return err
		}
		result.Facts = append(result.Facts, m.Facts())
		if err := m.Kill(ctx); err != nil {
			return err
		}
		exit, err := m.Wait(ctx)
		if err != nil {
			return err
		}
		result.Exits = append(result.Exits, exit)
		if err := m.Close(); err != nil {
			return err
		}
	}
	return nil
}

// A monitor that has confined itself starts its VMM enclosed, and again after
// a reboot, as nothing but that can be asked of the warden it made before.
func TestRealStartOfAConfinedMonitor(t *testing.T) {
	cfg := realConfig(t)
	kernel, initramfs := lab.Needs(t)
	spec := fakeSpec(t)
	spec.Kernel, spec.Initramfs = kernel, initramfs
	task, err := json.Marshal(confinedTask{cfg, spec})
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, confinedArg, string(task))
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	var got confinedResult
	if err == nil {
		err = json.Unmarshal(out, &got)
	}
	if err != nil || got.Err != "" || len(got.Facts) != 2 || len(got.Exits) != 2 {
		t.Fatalf("it told %s, %v", out, err)
	}
	for i := range 2 {
		if got.Facts[i].Isolation != vmm.IsolationNamespaces || got.Exits[i].Reason != vmm.ExitKilled {
			t.Errorf("start %d: %+v, %+v", i+1, got.Facts[i], got.Exits[i])
		}
	}
}

// Where the host lets nobody be enclosed the VMM runs all the same, and it is
// said.
func TestWithoutAnEnclosureItIsSaid(t *testing.T) {
	d, spec := fakeDriver(t, fakeBinary(t)), fakeSpec(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	stage := filepath.Join(t.TempDir(), "stage")
	script := "#!/bin/sh\n[ \"$1\" != warden ] || exec '" + self + "' " + StageArg + " warden\necho no luck today >&2\nexit 71\n"
	if err := os.WriteFile(stage, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	d.cfg.Stage = []string{stage}
	if programs, err := d.Stage(t.Context(), spec); err != nil || !slices.Equal(programs, []string{d.cfg.Binary}) {
		t.Errorf("Stage = %q, %v", programs, err)
	}
	m, err := d.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	f := m.Facts()
	if f.Isolation != vmm.IsolationSandbox || len(f.Reduced) != 1 || !strings.Contains(f.Reduced[0], "no luck today") {
		t.Errorf("Facts = %+v", f)
	}
	again, err := fakeDriver(t, d.cfg.Binary).Connect(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if g := again.Facts(); g.Isolation != f.Isolation || !slices.Equal(g.Reduced, f.Reduced) {
		t.Errorf("the next monitor's facts are %+v", g)
	}
	if err := errors.Join(again.Kill(t.Context()), again.Close()); err != nil {
		t.Error(err)
	}
}

// The starter is killed before it writes the record: an enclosed VMM is found
// by its lock too.
func TestRealEnclosedVMMIsFoundWithoutARecord(t *testing.T) {
	cfg := realConfig(t)
	kernel, initramfs := lab.Needs(t)
	spec := fakeSpec(t)
	spec.Kernel, spec.Initramfs = kernel, initramfs
	m, err := newReal(t, cfg).Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	was := m.Facts()
	if err := errors.Join(m.Close(), os.Remove(filepath.Join(spec.Dir, rundir.RecordFile))); err != nil {
		t.Fatal(err)
	}
	if m, err = newReal(t, cfg).Connect(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if f := m.Facts(); f.PID != was.PID || f.Isolation != vmm.IsolationNamespaces || f.Started.Sub(was.Started).Abs() > time.Second {
		t.Errorf("Facts = %+v, were %+v", f, was)
	}
	if err := m.Kill(t.Context()); err != nil {
		t.Error(err)
	}
}
