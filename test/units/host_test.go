package units

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/banger-vm/banger/api"
)

const (
	user    = "user" // the test host's ordinary user, who lingers
	uid     = 1001
	home    = "/home/" + user
	image   = "busybox"
	payload = "/payload"
	// deadline bounds every single command and wait: all is emulated.
	deadline = 4 * time.Minute
)

// inHost skips a test outside of the test host.
func inHost(t *testing.T) {
	t.Helper()
	if os.Getenv("BANGER_TEST_HOST") != "1" {
		t.Skip("this is not the test host: make test-host")
	}
	if os.Geteuid() != 0 {
		t.Fatal("sessions of others are opened as root")
	}
}

// result is how a command ended.
type result struct {
	code        int
	out, stderr string
}

func (r result) String() string {
	return fmt.Sprintf("exit code %d\nstdout: %s\nstderr: %s", r.code, r.out, r.stderr)
}

// environ is what the user's commands see.
var environ = []string{
	"HOME=" + home, "USER=" + user, "XDG_RUNTIME_DIR=/run/user/" + strconv.Itoa(uid), "NO_COLOR=1", "PATH=/usr/local/bin:/usr/bin:/bin",
}

// command is a command line of the user's that is in no session, and so is
// there when all sessions have ended.
func command(ctx context.Context, script string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", "-c", script)
	cmd.Env, cmd.Dir, cmd.WaitDelay = environ, "/", 10*time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid, Groups: groups()}}
	return cmd
}

// groups are those of the user: it may open /dev/kvm by one.
var groups = sync.OnceValue(func() []uint32 {
	out, err := exec.Command("id", "-G", user).Output()
	var all []uint32
	for s := range strings.FieldsSeq(string(out)) {
		if n, perr := strconv.ParseUint(s, 10, 32); perr == nil {
			all = append(all, uint32(n))
		}
	}
	if err != nil || len(all) == 0 {
		panic(fmt.Sprintf("the user's groups: %q, %v", out, err))
	}
	return all
})

// session is a command line in a login session of its own.
func session(ctx context.Context, script string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "runuser", "-l", user, "-c", "export NO_COLOR=1 PATH=/usr/local/bin:/usr/bin:/bin; "+script)
	cmd.Env, cmd.Dir, cmd.WaitDelay = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, "/", 10*time.Second
	return cmd
}

// run runs a command to its end.
func run(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	r := result{out: out.String(), stderr: stderr.String()}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		r.code = exit.ExitCode()
	} else if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		t.Fatalf("%s: %v\n%s", cmd, err, r)
	}
	return r
}

// as runs a script as the user.
func as(t *testing.T, script string) result { return within(t, command, script) }

// ok runs a script as the user, which must succeed.
func ok(t *testing.T, script string) string {
	t.Helper()
	r := as(t, script)
	if r.code != 0 {
		t.Fatalf("%s: %s", script, r)
	}
	return r.out
}

// within runs a script as the user, in a session or not, as made by how.
func within(t *testing.T, how func(context.Context, string) *exec.Cmd, script string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), deadline) // clean-ups call it too
	defer cancel()
	return run(t, how(ctx, script))
}

// root runs a command as root, which must succeed.
func root(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), deadline)
	defer cancel()
	r := run(t, exec.CommandContext(ctx, name, args...))
	if r.code != 0 {
		t.Fatalf("%s %s: %s", name, strings.Join(args, " "), r)
	}
	return r.out
}

// await polls until ok.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %s in vain for: %s", deadline, what)
		}
	}
}

// decode reads the JSON that a command printed.
func decode[T any](t *testing.T, out string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	return v
}

// state is what the user sees at one time.
type state struct {
	vm     api.VM
	daemon api.DaemonStatus
	units  []string // that the user's manager knows, the daemon's left out
}

// look looks at a VM, which starts a daemon.
func look(t *testing.T, name string) (s state) {
	t.Helper()
	parts := strings.Split(ok(t, "banger inspect --json "+name+"; echo ----; banger daemon status --json; echo ----; "+listUnits), "----\n")
	s.vm, s.daemon = decode[api.VM](t, parts[0]), decode[api.DaemonStatus](t, parts[1])
	for line := range strings.Lines(parts[2]) {
		s.units = append(s.units, strings.Fields(line)[0])
	}
	slices.Sort(s.units)
	return s
}

const listUnits = "systemctl --user list-units --all --plain --no-legend 'banger-*'"

// alive reports whether a process is there and no zombie.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, rest, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(rest, "Z")
}

// kill9 ends a process and waits until it is gone.
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

// processes are the command lines with a word in them.
func processes(t *testing.T, word string) (found []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if line, err := os.ReadFile(file); err == nil && strings.Contains(string(line), word) {
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}
