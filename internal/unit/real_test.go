package unit_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/unit"
)

// real returns the manager of whoever runs the test, in the test host.
func real(t *testing.T) *unit.Manager {
	t.Helper()
	if os.Getenv("BANGER_TEST_HOST") != "1" {
		t.Skip("this is not the test host: make test-host")
	}
	return unit.New(unit.SystemConfig())
}

// listed are the units of a name that the manager still knows.
func listed(t *testing.T, name string) string {
	t.Helper()
	args := []string{"list-units", "--all", "--plain", "--no-legend", name}
	if os.Geteuid() != 0 {
		args = append([]string{"--user"}, args...)
	}
	out, err := exec.Command("systemctl", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// service runs a shell script as a service, with a file for what it says.
func service(t *testing.T, m *unit.Manager, name, script string) string {
	t.Helper()
	said, err := os.Create(filepath.Join(t.TempDir(), "said"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	if err := m.Start(t.Context(), unit.Service{
		Name: name, Description: "a test of " + t.Name(), Program: "/bin/sh", Args: []string{"-c", script, "$HOME", "100%d"},
		Dir: "/usr", Env: append(os.Environ(), "BASH_FUNC_x%%=() { :; }", "LINES=one\ntwo"), Stdin: said, Stderr: said,
	}); err != nil {
		t.Fatal(err)
	}
	return said.Name()
}

func TestRealService(t *testing.T) {
	m := real(t)
	if v, err := m.Version(t.Context()); err != nil || v == "" {
		t.Fatalf("Version = %q, %v", v, err)
	} else {
		t.Log("systemd", v)
	}
	begin := time.Now()
	said := service(t, m, "banger-test-a.service",
		`{ echo "$0 $1 $PWD $LINES"; readlink /proc/self/fd/0; grep NoNewPrivs /proc/self/status; cat /proc/self/cgroup; echo end; } >&2; exit 7`)
	t.Logf("started after %v", time.Since(begin))
	await(t, "the service to have said all", func() bool { b, err := os.ReadFile(said); return err == nil && bytes.HasSuffix(b, []byte("end\n")) })
	b, err := os.ReadFile(said)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(b), "\n")
	if want := "$HOME 100%d /usr one\ntwo\n" + said + "\nNoNewPrivs:\t1"; !strings.HasPrefix(string(b), want) {
		t.Errorf("it says\n%s\nwant\n%s", b, want)
	}
	if group := lines[len(lines)-3]; !strings.HasSuffix(group, "/banger-test-a.service") {
		t.Errorf("it is in %s", group)
	}
	await(t, "the failed service to be forgotten", func() bool { return listed(t, "banger-test-a.service") == "" })
	err = m.Start(t.Context(), unit.Service{Name: "banger-test-a.service", Program: "/no/such/program"})
	if err == nil || !strings.Contains(err.Error(), "could not start banger-test-a.service") {
		t.Errorf("a program that is not there: %v", err)
	}
}

// What a killed service leaves keeps its name, until it is moved away.
func TestRealLeftovers(t *testing.T) {
	m := real(t)
	const name, scope = "banger-test-b.service", "banger-test-b.scope"
	said := service(t, m, name, `sleep 1000 & echo "$! $$" >&2; wait`)
	var child, main int
	await(t, "the service to tell who it is", func() bool {
		b, err := os.ReadFile(said)
		n, _ := fmt.Sscan(string(b), &child, &main)
		return err == nil && n == 2
	})
	t.Cleanup(func() { _ = syscall.Kill(child, syscall.SIGKILL) })
	if left, err := m.Leftovers(t.Context(), name); err != nil || left != nil {
		t.Errorf("while it runs it leaves %v, %v", left, err)
	}
	if err := syscall.Kill(main, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var left []int
	await(t, "systemd to see it", func() bool {
		var err error
		if left, err = m.Leftovers(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		return len(left) > 0
	})
	if len(left) != 1 || left[0] != child {
		t.Fatalf("it leaves %v, want %d", left, child)
	}
	begin := time.Now()
	if err := m.Start(t.Context(), unit.Service{Name: name, Program: "/bin/true", Dir: "/"}); err == nil {
		t.Error("a name that is taken was given again")
	} else {
		t.Logf("after %v: %v", time.Since(begin), err)
	}
	if err := m.Enclose(t.Context(), unit.Scope{Name: scope, Description: "a test", PIDs: left}); err != nil {
		t.Fatal(err)
	}
	if in, err := m.Of(child); err != nil || in != scope {
		t.Errorf("the child is in %q, %v", in, err)
	}
	service(t, m, name, "exit 0")
}

func TestRealScope(t *testing.T) {
	m := real(t)
	const name = "banger-test-c.scope"
	spawn := func() *exec.Cmd {
		c := exec.Command("sleep", "1000")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Process.Kill() })
		return c
	}
	first, second := spawn(), spawn()
	for _, c := range []*exec.Cmd{first, second, first} {
		begin := time.Now()
		if err := m.Enclose(t.Context(), unit.Scope{Name: name, Description: "a test", PIDs: []int{c.Process.Pid}}); err != nil {
			t.Fatal(err)
		}
		t.Logf("enclosed after %v", time.Since(begin))
		if in, err := m.Of(c.Process.Pid); err != nil || in != name {
			t.Errorf("the process %d is in %q, %v", c.Process.Pid, in, err)
		}
	}
	for range 20 { // the last one's end and the next one's beginning meet
		next := spawn()
		for _, old := range []*exec.Cmd{first, second} {
			if err := old.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Fatal(err)
			}
			_ = old.Wait() // killed
		}
		if err := m.Enclose(t.Context(), unit.Scope{Name: name, PIDs: []int{next.Process.Pid}}); err != nil {
			t.Fatal(err)
		}
		if in, err := m.Of(next.Process.Pid); err != nil || in != name {
			t.Fatalf("the process %d is in %q, %v", next.Process.Pid, in, err)
		}
		first, second = next, next
	}
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait() // killed
	await(t, "the empty scope to be forgotten", func() bool { return listed(t, name) == "" })
}

func TestRealLingers(t *testing.T) {
	m := real(t)
	lingers, err := m.Lingers(t.Context())
	if want := os.Geteuid() != 0; err != nil || lingers != want {
		t.Errorf("the user %s lingers: %v, %v", strconv.Itoa(os.Geteuid()), lingers, err)
	}
}
