package e2e

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// newcomer is a user who was made for a test, without any rights but a
// user's, and with no place for banger but those of XDG.
type newcomer struct {
	name, home string
	uid, gid   uint32
}

// made makes a user that goes with the test.
func made(t *testing.T) newcomer {
	t.Helper()
	if os.Getenv("BANGER_TEST_IMAGE") != "1" {
		t.Skip("a real bootstrap takes minutes and the network: set BANGER_TEST_IMAGE=1")
	}
	if os.Geteuid() != 0 {
		t.Skip("only root makes users")
	}
	n := newcomer{name: "banger-test-" + strconv.Itoa(rand.IntN(1e6))}
	n.home = filepath.Join("/var/tmp", n.name)
	asRoot(t, "useradd", "--create-home", "--home-dir", n.home, "--user-group", "--shell", "/bin/bash", n.name)
	u, err := user.Lookup(n.name)
	if err != nil {
		t.Fatal(err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	n.uid, n.gid = uint32(uid), uint32(gid)
	t.Cleanup(func() {
		n.banger(t, "daemon", "stop") // it may have been started or not
		asRoot(t, "userdel", "--remove", n.name)
		if _, err := os.Stat(n.home); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the user's home is left: %v", err)
		}
	})
	bin := filepath.Join(n.home, "bin")
	asRoot(t, "install", "-d", bin)
	for _, name := range []string{"banger", "bangerd", "banger-guest"} {
		asRoot(t, "install", "-m", "755", program(name), bin)
	}
	return n
}

func asRoot(t *testing.T, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil && !strings.Contains(string(out), "mail spool") {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
}

// command prepares banger as the user calls it.
func (n newcomer) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(n.home, "bin/banger"), args...)
	cmd.Dir, cmd.WaitDelay = n.home, 10*time.Second
	cmd.Env = []string{
		"HOME=" + n.home, "USER=" + n.name, "PATH=" + n.home + "/bin:/usr/local/bin:/usr/bin:/bin", // no sbin
		"NO_COLOR=1", "TMPDIR=/var/tmp", // not everywhere is /tmp for all
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: n.uid, Gid: n.gid}}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	return cmd
}

func (n newcomer) banger(t *testing.T, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*deadline)
	defer cancel()
	return collect(t, n.command(ctx, args...), "")
}

func (n newcomer) state() string { return filepath.Join(n.home, ".local/state/banger") }

// A user who was made a moment ago, and has no sudo, makes an image of
// packages and works in a VM of it. What is missing is told with the command
// that gives it, and that command does.
func TestRealNewUser(t *testing.T) {
	n := made(t)
	dropSubordinates(t, n)
	if _, err := os.Stat("/dev/kvm"); err == nil {
		if r := n.banger(t, "vmm", "ls"); r.code != 0 || !strings.Contains(r.stdout, "sudo usermod -aG kvm") {
			t.Errorf("without the right to open /dev/kvm: %s", r)
		}
	}
	r := n.banger(t, "image", "bootstrap", "debian")
	give := regexp.MustCompile(`sudo (usermod --add-subuids \S+ --add-subgids \S+ \S+)`).FindStringSubmatch(r.stderr)
	if r.code != 5 || give == nil {
		t.Fatalf("without subordinate IDs: %s", r)
	}
	fields := strings.Fields(give[1])
	asRoot(t, fields[0], fields[1:]...)
	n.interruptedBootstrap(t)
	if r := n.banger(t, "image", "bootstrap", "debian"); r.code != 0 {
		t.Fatalf("%s", r)
	}
	for _, want := range []string{n.state() + "/images/*/root.img", n.home + "/.cache/banger/images/*/entry.json"} {
		if found, err := filepath.Glob(want); err != nil || len(found) != 1 {
			t.Errorf("%s: %v, %v", want, found, err)
		}
	}
	ownersAreKept(t, n.state()+"/images/*/root.img")
	r = n.banger(t, "run", "--rm", "--network", "none", "debian", "--", "sh", "-c", "id -un; sudo id -u")
	if r.code != 0 || r.stdout != "dev\n0\n" {
		t.Errorf("%s", r)
	}
	if r := n.banger(t, "image", "rm", "debian"); r.code != 0 {
		t.Errorf("%s", r)
	}
	n.leftNothing(t)
	if all, err := filepath.Glob(n.home + "/*"); err != nil || len(all) > 6 { // the skeleton's three, bin, .cache, .local
		t.Errorf("in the home: %q, %v", all, err)
	}
}

// ownersAreKept looks for owners, groups and modes of all kinds in an image.
func ownersAreKept(t *testing.T, pattern string) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) != 1 {
		t.Fatalf("images: %q, %v", paths, err)
	}
	for path, want := range map[string][3]string{
		"/":                 {"0755", "0", "0"},
		"/etc/shadow":       {"0640", "0", "42"},
		"/usr/bin/sudo":     {"04755", "0", "0"},
		"/var/mail":         {"02775", "0", "8"},
		"/home/dev/.bashrc": {"0644", "1000", "1000"},
	} {
		out, err := exec.CommandContext(t.Context(), "debugfs", "-R", "stat "+path, paths[0]).CombinedOutput()
		if err != nil {
			t.Fatalf("debugfs: %v: %s", err, out)
		}
		got := regexp.MustCompile(`(?s)Mode: +(\d+).*?User: +(\d+) +Group: +(\d+)`).FindStringSubmatch(string(out))
		if got == nil || [3]string(got[1:]) != want {
			t.Errorf("%s is %q, want %q: %s", path, got, want, out)
		}
	}
}

// dropSubordinates takes away what useradd(8) may have given.
func dropSubordinates(t *testing.T, n newcomer) {
	t.Helper()
	for file, flag := range map[string]string{"/etc/subuid": "--del-subuids", "/etc/subgid": "--del-subgids"} {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(body)) {
			if f := strings.Split(strings.TrimSpace(line), ":"); f[0] == n.name && len(f) == 3 {
				first, err1 := strconv.Atoi(f[1])
				count, err2 := strconv.Atoi(f[2])
				if err := errors.Join(err1, err2); err != nil {
					t.Fatal(err)
				}
				asRoot(t, "usermod", flag, f[1]+"-"+strconv.Itoa(first+count-1), n.name)
			}
		}
	}
}

// interruptedBootstrap gives up while there are files of others, and mounts.
func (n newcomer) interruptedBootstrap(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	cmd := n.command(ctx, "image", "bootstrap", "debian")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, "files of other users", func() bool { return len(n.foreign(t)) > 0 })
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // by its exit code
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d, want 130", code)
	}
	n.leftNothing(t)
}

// foreign are the paths in the user's state that are somebody else's.
func (n newcomer) foreign(t *testing.T) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(n.state(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // it is being worked on
			}
			return err
		}
		info, err := d.Info()
		if st, ok := sys(info); err == nil && ok && st.Uid != n.uid {
			paths = append(paths, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func sys(info fs.FileInfo) (*syscall.Stat_t, bool) {
	if info == nil {
		return nil, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return st, ok
}

// leftNothing wants no image, no file of anybody else, and no process but the
// daemon.
func (n newcomer) leftNothing(t *testing.T) {
	t.Helper()
	await(t, "nothing to be left", func() bool {
		images, err := os.ReadDir(filepath.Join(n.state(), "images"))
		return err == nil && len(images) == 0 && len(n.foreign(t)) == 0
	})
	procs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range procs {
		line, err := os.ReadFile(path)
		root, _ := os.Readlink(filepath.Join(filepath.Dir(path), "root")) // it may have ended
		of := strings.Contains(string(line), n.home) || strings.HasPrefix(root, n.home)
		if err == nil && of && !strings.Contains(string(line), "bangerd") {
			t.Errorf("there is the process %q", strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
}
