// Package e2e runs the real programs against real VMs: build/bin/banger as a
// user would, its daemon, QEMU and a Debian guest. BANGER_TEST_VM=1 turns it on.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/banger-vm/banger/api"
	matrix "github.com/banger-vm/banger/test/matrix/result"
)

// deadline bounds every single command of a test.
const deadline = 5 * time.Minute

// shared is the environment of all tests that need no daemon of their own,
// once it is seeded.
var (
	shared     *env
	seedShared = sync.OnceValue(func() error { return shared.seed() })
)

func TestMain(m *testing.M) {
	code := func() int {
		if os.Getenv("BANGER_TEST_VM") == "" {
			return m.Run() // every test skips itself by name
		}
		dir, err := os.MkdirTemp("", "banger-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		shared, templateDir = &env{dir: dir}, filepath.Join(dir, "seeds")
		if err := errors.Join(shared.configure(""), os.Mkdir(templateDir, 0o700)); err != nil {
			fmt.Fprintln(os.Stderr, "preparing:", err)
			return 1
		}
		defer shared.shutdown()
		return m.Run()
	}()
	os.Exit(code)
}

// env is a state directory with its daemon.
type env struct {
	dir   string
	extra []string // environment
}

// common returns the shared environment, or skips the test.
func common(t *testing.T) *env {
	t.Helper()
	needVMs(t)
	if err := seedShared(); err != nil {
		t.Fatal(err)
	}
	return shared
}

// private makes an environment of this test's own, with the seed, if there is
// one.
func private(t *testing.T, extra ...string) *env {
	t.Helper()
	e := bare(t, extra...)
	if err := e.seed(); err != nil {
		t.Fatal(err)
	}
	return e
}

// bare makes an environment of this test's own that has nothing yet.
func bare(t *testing.T, extra ...string) *env {
	t.Helper()
	needVMs(t)
	dir, err := os.MkdirTemp("", "banger-e2e-"+strings.ToLower(t.Name()[:min(len(t.Name()), 12)])+"-")
	if err != nil {
		t.Fatal(err)
	}
	e := &env{dir: dir, extra: extra}
	if err := e.configure(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			e.dump(t)
		}
		e.shutdown()
		os.RemoveAll(dir)
	})
	return e
}

// needVMs skips the test where no VM may be booted. Several run at once:
// most of a test's time its guest, which has one CPU, boots.
func needVMs(t *testing.T) {
	t.Helper()
	if os.Getenv("BANGER_TEST_VM") == "" {
		t.Skip("BANGER_TEST_VM is not set: no VM is booted")
	}
	t.Parallel()
}

// notOnFake skips the test where the VMM is the fake one (scripts/test-fake):
// its guests are processes of this host.
func notOnFake(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("BANGER_FAKE") != "" {
		t.Skip("not on the fake VMM: " + why)
	}
}

const (
	noKernel  = "its guests have no kernel of their own"
	noSystemd = "its guests have no systemd"
	noCard    = "its machines have no card"
)

// program is the path of a program that make build made, or that
// BANGER_TEST_BIN has.
func program(name string) string {
	dir := os.Getenv("BANGER_TEST_BIN")
	if dir == "" {
		dir = "../../build/bin"
	}
	path, err := filepath.Abs(filepath.Join(dir, name))
	if err != nil {
		panic(err)
	}
	return path
}

func (e *env) state() string { return filepath.Join(e.dir, "state") }

func (e *env) environ() []string {
	return append(append(os.Environ(),
		"BANGER_STATE_DIR="+e.state(), "BANGER_RUNTIME_DIR="+filepath.Join(e.dir, "run"), "BANGER_CONFIG="+e.config(), "NO_COLOR=1"), e.extra...)
}

func (e *env) config() string { return filepath.Join(e.dir, "config.toml") }

// configure writes the daemon's configuration: what BANGER_TEST_CONFIG has,
// such as another VMM, and more.
func (e *env) configure(more string) error {
	return os.WriteFile(e.config(), []byte(os.Getenv("BANGER_TEST_CONFIG")+"\n"+more), 0o600)
}

// sized is the size of something: as usual, or as an environment variable has
// it where guests are slow. What is checked is the same.
func sized(t *testing.T, name string, usual int64) int64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// result is how a command ended.
type result struct {
	code           int
	stdout, stderr string
}

func (r result) String() string {
	return fmt.Sprintf("exit code %d\nstdout: %s\nstderr: %s", r.code, clip(r.stdout), clip(r.stderr))
}

func clip(s string) string {
	if len(s) > 4000 {
		return s[:2000] + " … " + s[len(s)-2000:]
	}
	return s
}

// command prepares banger with args.
func (e *env) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program("banger"), args...)
	cmd.Env = e.environ()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// banger runs the CLI with stdin and returns how it ended.
func (e *env) bangerIn(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), deadline) // clean-ups call it too
	defer cancel()
	return collect(t, e.command(ctx, args...), stdin)
}

// collect runs a command to its end.
func collect(t *testing.T, cmd *exec.Cmd, stdin string) result {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Stdin = &out, &errs, strings.NewReader(stdin)
	return finish(t, cmd.Run(), &out, &errs, cmd.Args[1:])
}

func finish(t *testing.T, err error, out, errs *bytes.Buffer, args []string) result {
	t.Helper()
	r := result{stdout: out.String(), stderr: errs.String()}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		r.code = exit.ExitCode()
	case err != nil:
		t.Fatalf("banger %s: %v\n%s", strings.Join(args, " "), err, r)
	}
	return r
}

func (e *env) banger(t *testing.T, args ...string) result {
	t.Helper()
	return e.bangerIn(t, "", args...)
}

// ok runs the CLI, which must succeed, and returns its standard output.
func (e *env) ok(t *testing.T, args ...string) string {
	t.Helper()
	r := e.banger(t, args...)
	if r.code != 0 {
		t.Fatalf("banger %s failed: %s", strings.Join(args, " "), r)
	}
	return r.stdout
}

// refused runs the CLI, which must fail with code and say every word of want.
func (e *env) refused(t *testing.T, code int, want []string, args ...string) result {
	t.Helper()
	r := e.banger(t, args...)
	if r.code != code {
		t.Errorf("banger %s: want exit code %d, got %s", strings.Join(args, " "), code, r)
	}
	for _, w := range want {
		if !strings.Contains(r.stderr, w) {
			t.Errorf("banger %s does not say %q: %s", strings.Join(args, " "), w, r.stderr)
		}
	}
	return r
}

// inspect returns a VM; the zero VM if there is none.
func (e *env) inspect(t *testing.T, name string) api.VM {
	t.Helper()
	r := e.banger(t, "inspect", "--json", name)
	if r.code != 0 {
		return api.VM{}
	}
	var v api.VM
	if err := json.Unmarshal([]byte(r.stdout), &v); err != nil {
		t.Fatalf("inspect --json: %v\n%s", err, r.stdout)
	}
	if v.Boot != nil && v.Boot.VMM != "" && v.Boot.Accel != "auto" { // else it is being started
		matrix.Tell(t, v.Boot.VMM+"/"+v.Boot.Accel, v.Spec.DiskDriver, v.Reduced...)
	}
	return v
}

// await polls until ok, for things that only the outside can see.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.Now().Add(deadline)
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("waited %s in vain for: %s", deadline, what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// daemonPID starts the daemon if need be and returns its pid.
func (e *env) daemonPID(t *testing.T) int {
	t.Helper()
	e.ok(t, "ls")
	var s api.DaemonStatus
	if err := json.Unmarshal([]byte(e.ok(t, "daemon", "status", "--json")), &s); err != nil {
		t.Fatal(err)
	}
	return s.PID
}

// alive reports whether a process exists and is no zombie.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// kill9 ends a process of the test's own and waits until it is gone.
func kill9(t *testing.T, pid int) {
	t.Helper()
	if pid <= 1 {
		t.Fatalf("refusing to kill pid %d", pid)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Fatal(err)
	}
	await(t, "the killed process to be gone", func() bool { return !alive(pid) })
}

// shutdown removes all VMs and stops the daemon.
func (e *env) shutdown() {
	if _, err := os.Stat(e.state()); errors.Is(err, os.ErrNotExist) {
		return // nobody used it
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if out, err := e.command(ctx, "ls", "-a", "-q").Output(); err == nil {
		for id := range strings.FieldsSeq(string(out)) {
			_ = e.command(ctx, "rm", "-f", id).Run()
		}
	}
	_ = e.command(ctx, "daemon", "stop").Run()
}

// dump shows what the programs logged.
func (e *env) dump(t *testing.T) {
	logs, _ := filepath.Glob(filepath.Join(e.state(), "*.log"))
	more, _ := filepath.Glob(filepath.Join(e.state(), "vms/*/*.log"))
	for _, path := range append(logs, more...) {
		data, err := os.ReadFile(path)
		if err == nil {
			t.Logf("%s:\n%s", strings.TrimPrefix(path, e.dir), clip(string(data)))
		}
	}
}

// residue lists what is left of banger's processes and files under e.
func (e *env) residue(t *testing.T) []string {
	t.Helper()
	var left []string
	dirs, err := os.ReadDir(filepath.Join(e.state(), "vms"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, d := range dirs {
		left = append(left, "directory vms/"+d.Name())
	}
	procs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range procs {
		cmdline, err := os.ReadFile(path)
		if err == nil && bytes.Contains(cmdline, []byte(filepath.Join(e.state(), "vms"))) {
			left = append(left, "process "+strings.ReplaceAll(string(cmdline), "\x00", " "))
		}
	}
	return left
}

// unitsOf are the units that hold a VM where there is a systemd, none elsewhere.
func unitsOf(v api.VM) []string {
	run := "/run"
	if os.Geteuid() != 0 {
		run = os.Getenv("XDG_RUNTIME_DIR")
	}
	if _, err := os.Stat(filepath.Join(run, "systemd/private")); err != nil {
		return nil
	}
	return []string{"banger-monitor-" + v.ID + ".service", "banger-vmm-" + v.ID + ".scope"}
}

// monitorOf returns the pid of a VM's monitor, 0 if there is none.
func (e *env) monitorOf(t *testing.T, name string) int {
	t.Helper()
	procs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range procs {
		cmdline, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(cmdline, []byte("\x00monitor\x00--name\x00"+name+"\x00--dir\x00"+e.state())) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			return pid
		}
	}
	return 0
}
