package unit_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/banger-vm/banger/internal/unit"
)

const job = "/org/freedesktop/systemd1/job/7"

// systemd starts a fake manager of the user 1001 and returns it with ours.
func systemd(t *testing.T, answer func(c call) ([]any, string, []*dbus.Message)) (*peer, *unit.Manager) {
	return deaf(t, 0, answer)
}

// deaf is systemd, with so many messages that it does not see at first.
func deaf(t *testing.T, messages int, answer func(c call) ([]any, string, []*dbus.Message)) (*peer, *unit.Manager) {
	p := &peer{t: t, answer: answer, deaf: messages}
	run := t.TempDir()
	p.serve(filepath.Join(run, "user/1001/systemd/private"))
	p.serve(filepath.Join(run, "dbus/system_bus_socket"))
	return p, unit.New(unit.Config{UID: 1001, Run: run})
}

// starts answers every start with a job that ends with result, after signals
// that are about others.
func starts(result string) func(c call) ([]any, string, []*dbus.Message) {
	return func(c call) ([]any, string, []*dbus.Message) {
		name, _ := c.body[0].(string)
		return []any{dbus.ObjectPath(job)}, "", []*dbus.Message{
			signal("UnitNew", name, dbus.ObjectPath("/u")), removed("/org/freedesktop/systemd1/job/8", name, "failed"), removed(job, name, result),
		}
	}
}

// settings are the properties of a start, by name.
func settings(t *testing.T, c call) map[string]any {
	t.Helper()
	all := make(map[string]any)
	for _, p := range c.body[2].([][]any) {
		all[p[0].(string)] = p[1].(dbus.Variant).Value()
	}
	return all
}

func TestStart(t *testing.T) {
	p, m := systemd(t, starts("done"))
	socket, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	file, err := socket.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	err = m.Start(t.Context(), unit.Service{
		Name: "a.service", Description: "an A", Program: "/bin/a", Args: []string{"$HOME", "b c"}, Dir: "/d",
		Env:   []string{"A=1", "B=two\nlines", "BASH_FUNC_x%%=() {", "C=\x1b", "D=\xff", "1E=2", "NOTIFY_SOCKET=/n", "=", "F"},
		Stdin: file,
	})
	if err != nil {
		t.Fatal(err)
	}
	c := p.only("StartTransientUnit")[0]
	if c.body[0] != "a.service" || c.body[1] != "fail" || len(c.files) != 1 {
		t.Fatalf("it asked for %v %v with %d descriptors", c.body[0], c.body[1], len(c.files))
	}
	if info, err := c.files[0].Stat(); err != nil || info.Mode().Type() != os.ModeSocket {
		t.Errorf("the descriptor is %v, %v", info.Mode(), err)
	}
	want := map[string]any{
		"CollectMode": "inactive-or-failed", "Description": "an A", "Type": "exec", "WorkingDirectory": "/d",
		"ExecStartEx": [][]any{{"/bin/a", []string{"/bin/a", "$HOME", "b c"}, []string{"no-env-expand"}}},
		"Environment": []string{"A=1", "B=two\nlines"}, "KillMode": "process", "OOMPolicy": "continue",
		"NoNewPrivileges": true, "StandardOutput": "null", "StandardInputFileDescriptor": dbus.UnixFDIndex(0),
	}
	if diff := cmp.Diff(want, settings(t, c)); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

// systemd may leave what follows the authentication unseen until more comes.
func TestDeafManager(t *testing.T) {
	p, m := deaf(t, 3, func(call) ([]any, string, []*dbus.Message) { return []any{dbus.MakeVariant("252")}, "", nil })
	if v, err := m.Version(t.Context()); err != nil || v != "252" {
		t.Errorf("Version = %q, %v", v, err)
	}
	if pings := len(p.only("Ping")); pings < 2 {
		t.Errorf("it was pinged %d times", pings)
	}
}

func TestStartThatFails(t *testing.T) {
	_, m := systemd(t, starts("failed"))
	err := m.Start(t.Context(), unit.Service{Name: "a.service", Program: "/none"})
	if err == nil || !strings.Contains(err.Error(), "could not start a.service (failed)") {
		t.Errorf("Start = %v", err)
	}
	_, m = systemd(t, func(call) ([]any, string, []*dbus.Message) { return nil, "org.freedesktop.DBus.Error.InvalidArgs", nil })
	if err = m.Start(t.Context(), unit.Service{Name: "a.service"}); err == nil || !strings.Contains(err.Error(), "it is said to be so") {
		t.Errorf("Start = %v", err)
	}
}

// A unit that has ended and is not forgotten yet is waited for, and no longer
// than for ever.
func TestStartWaitsForThePredecessor(t *testing.T) {
	var tries atomic.Int32
	p, m := systemd(t, func(c call) ([]any, string, []*dbus.Message) {
		if tries.Add(1) < 3 {
			return nil, "org.freedesktop.systemd1.UnitExists", nil
		}
		return starts("done")(c)
	})
	if err := m.Start(t.Context(), unit.Service{Name: "a.service"}); err != nil || len(p.only("StartTransientUnit")) != 3 {
		t.Errorf("Start = %v after %d tries", err, tries.Load())
	}
	_, m = systemd(t, func(c call) ([]any, string, []*dbus.Message) {
		return nil, "org.freedesktop.systemd1.UnitExists", nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := m.Start(ctx, unit.Service{Name: "a.service"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Start = %v", err)
	}
}

// A manager that takes calls and answers none holds nobody for ever.
func TestSilentManager(t *testing.T) {
	silent := make(chan struct{})
	_, m := systemd(t, func(call) ([]any, string, []*dbus.Message) { <-silent; return nil, "", nil })
	defer close(silent)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := m.Version(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Version = %v", err)
	}
}

func TestNoManager(t *testing.T) {
	run := t.TempDir()
	m := unit.New(unit.Config{UID: 1001, Run: run})
	check := func(why string) {
		t.Helper()
		if err := m.Start(t.Context(), unit.Service{}); !errors.Is(err, unit.ErrNone) {
			t.Errorf("%s: Start = %v", why, err)
		}
		if err := m.Enclose(t.Context(), unit.Scope{Name: "v.scope", PIDs: []int{1}}); !errors.Is(err, unit.ErrNone) {
			t.Errorf("%s: Enclose = %v", why, err)
		}
	}
	check("no socket")
	if m.Present() {
		t.Error("a manager without a socket seems to run")
	}
	path := filepath.Join(run, "user/1001/systemd/private")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	check("nobody listens")
}

func TestEnclose(t *testing.T) {
	p, m := systemd(t, starts("done"))
	pid := os.Getpid()
	if err := m.Enclose(t.Context(), unit.Scope{Name: "v.scope", Description: "a V", PIDs: []int{pid}}); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"CollectMode": "inactive-or-failed", "Description": "a V", "PIDs": []uint32{uint32(pid)}, "Delegate": true,
	}
	if diff := cmp.Diff(want, settings(t, p.only("StartTransientUnit")[0])); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	_, m = systemd(t, starts("failed"))
	if err := m.Enclose(t.Context(), unit.Scope{Name: "v.scope", PIDs: []int{gone.Process.Pid}}); err != nil {
		t.Errorf("a process that is gone: %v", err)
	}
	if err := m.Enclose(t.Context(), unit.Scope{Name: "v.scope", PIDs: []int{pid}}); err == nil {
		t.Error("a failed job is no error")
	}
}

// A scope that is there takes more processes; one that is about to go does not,
// and makes room.
func TestEncloseInTheScopeThatIsThere(t *testing.T) {
	for _, takes := range []bool{true, false} {
		var tries atomic.Int32
		p, m := systemd(t, func(c call) ([]any, string, []*dbus.Message) {
			switch {
			case c.method == "AttachProcessesToUnit" && takes:
				return nil, "", nil
			case c.method == "AttachProcessesToUnit":
				return nil, "org.freedesktop.DBus.Error.InvalidArgs", nil
			case tries.Add(1) == 1:
				return nil, "org.freedesktop.systemd1.UnitExists", nil
			}
			return starts("done")(c)
		})
		if err := m.Enclose(t.Context(), unit.Scope{Name: "v.scope", PIDs: []int{os.Getpid()}}); err != nil {
			t.Errorf("it takes more (%v): Enclose = %v", takes, err)
		}
		want := []any{"v.scope", "", []uint32{uint32(os.Getpid())}}
		if got := p.only("AttachProcessesToUnit"); len(got) != 1 || !cmp.Equal(got[0].body, want) {
			t.Errorf("it takes more (%v): attached %v", takes, got)
		}
	}
}

func TestLeftovers(t *testing.T) {
	var state atomic.Value
	state.Store("failed")
	_, m := systemd(t, func(c call) ([]any, string, []*dbus.Message) {
		switch c.method {
		case "GetUnit":
			if c.body[0] != "a.service" {
				return nil, "org.freedesktop.systemd1.NoSuchUnit", nil
			}
			return []any{dbus.ObjectPath("/u")}, "", nil
		case "Get":
			return []any{dbus.MakeVariant(state.Load())}, "", nil
		}
		type process struct {
			Group   string
			PID     uint32
			Command string
		}
		return []any{[]process{{"/g", 12, "qemu"}, {"/g", 13, "more"}}}, "", nil
	})
	if pids, err := m.Leftovers(t.Context(), "a.service"); err != nil || !cmp.Equal(pids, []int{12, 13}) {
		t.Errorf("Leftovers = %v, %v", pids, err)
	}
	if pids, err := m.Leftovers(t.Context(), "b.service"); err != nil || pids != nil {
		t.Errorf("of an unknown one: %v, %v", pids, err)
	}
	state.Store("active")
	if pids, err := m.Leftovers(t.Context(), "a.service"); err != nil || pids != nil {
		t.Errorf("of one that runs: %v, %v", pids, err)
	}
}

func TestLingers(t *testing.T) {
	var known atomic.Bool
	known.Store(true)
	_, m := systemd(t, func(c call) ([]any, string, []*dbus.Message) {
		switch {
		case c.method == "Hello":
			return []any{":1.1"}, "", nil
		case c.method == "GetUser" && !known.Load():
			return nil, "org.freedesktop.login1.NoSuchUser", nil
		case c.method == "GetUser" && c.body[0] == uint32(1001):
			return []any{dbus.ObjectPath("/org/freedesktop/login1/user/_1001")}, "", nil
		}
		return []any{dbus.MakeVariant(true)}, "", nil
	})
	if lingers, err := m.Lingers(t.Context()); err != nil || !lingers {
		t.Errorf("Lingers = %v, %v", lingers, err)
	}
	known.Store(false)
	if lingers, err := m.Lingers(t.Context()); err != nil || lingers {
		t.Errorf("a user without a session: %v, %v", lingers, err)
	}
	if _, err := unit.New(unit.Config{UID: 1, Run: t.TempDir()}).Lingers(t.Context()); err == nil {
		t.Error("no bus is no error")
	}
}

func TestServices(t *testing.T) {
	type listed struct {
		Name, Description, Load, Active, Sub, Following string
		Path                                            dbus.ObjectPath
		Job                                             uint32
		JobType                                         string
		JobPath                                         dbus.ObjectPath
	}
	p, m := systemd(t, func(c call) ([]any, string, []*dbus.Message) {
		if c.method == "ListUnitsByPatterns" {
			return []any{[]listed{{Name: "a-1.service", Path: "/a", JobPath: "/"}, {Name: "a-2.service", Path: "/b", JobPath: "/"}}}, "", nil
		}
		return []any{dbus.MakeVariant("/vms/1")}, "", nil
	})
	want := []unit.Listed{{"a-1.service", "/vms/1"}, {"a-2.service", "/vms/1"}}
	got, err := m.Services(t.Context(), "a-*.service")
	if err != nil || !cmp.Equal(got, want) {
		t.Errorf("Services = %v, %v", got, err)
	}
	if asked := p.only("ListUnitsByPatterns"); len(asked) != 1 || !cmp.Equal(asked[0].body, []any{[]string{}, []string{"a-*.service"}}) {
		t.Errorf("it was asked %v", asked)
	}
	none := unit.New(unit.Config{UID: 7, RuntimeDir: t.TempDir()})
	if got, err := none.Services(t.Context(), "*"); err != nil || got != nil {
		t.Errorf("without a manager: %v, %v", got, err)
	}
}
