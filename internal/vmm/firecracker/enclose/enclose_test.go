package enclose_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm/firecracker/enclose"
)

// TestMain is also the stage.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "stage" {
		os.Exit(enclose.Main(os.Args[2:], os.Stderr))
	}
	os.Exit(m.Run())
}

var starter = enclose.Starter{Stage: []string{"/proc/self/exe", "stage"}}

// program builds the one that tells what it sees.
func program(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	build := exec.Command("go", "build", "-o", path, "./testdata/"+name)
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as a VMM is: static
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// rig is a plan and its files.
type rig struct {
	plan  enclose.Plan
	files enclose.Files
	dir   string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{dir: t.TempDir()}
	file := func(name, text string) *os.File {
		path := filepath.Join(r.dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	for _, name := range []string{"root", "run"} {
		if err := os.Mkdir(filepath.Join(r.dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r.files = enclose.Files{Stdin: file("in", ""), Stdout: file("out", ""), Stderr: file("err", ""), Extra: []*os.File{file("extra", "extra")}}
	file("given", "given")
	file("disk", "disk")
	r.plan = enclose.Plan{
		Root: filepath.Join(r.dir, "root"), Dir: filepath.Join(r.dir, "run"), Args: []string{"a title", "one"}, Env: []string{"A=its own"},
		Binds: []enclose.Bind{
			{From: filepath.Join(r.dir, "given"), To: "/given"},
			{From: filepath.Join(r.dir, "disk"), To: "/disk", Writable: true},
			{From: "/dev/null", To: "/dev/null", Device: true},
		},
	}
	return r
}

func (r *rig) text(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// wait wants the program to end as it does, or skips where nothing can be
// enclosed.
func (r *rig) wait(t *testing.T, proc *hostexec.Process, exit hostexec.Exit, err error) {
	t.Helper()
	if err == nil && !exit.Known {
		exit, err = proc.Wait(t.Context())
	}
	if err == nil && exit.Code == enclose.Failed {
		err = errors.New(r.text(t, "err"))
	}
	if err != nil {
		t.Skipf("nothing can be enclosed here: %v", err)
	}
	if exit.Code != 7 {
		t.Errorf("the program ended with %v: %s", exit, r.text(t, "err"))
	}
}

const seen = `args: [a title one]
dir: /run pid: 1 uid: 1000 gid: 1000 host: vmm env: [A=its own]
files: [/dev/null /disk /given /program]
write read-only: true
write writable: <nil>
write to the root: true true
write to run: <nil>
mount: operation not permitted
remount: operation not permitted
chroot: operation not permitted
parent's root: false
interfaces: 1 <nil>
extra: true
another descriptor: true
`

func TestEnclosure(t *testing.T) {
	r := newRig(t)
	proc, err := starter.Start(program(t, "inside"), r.plan, r.files)
	r.wait(t, proc, hostexec.Exit{}, err)
	if got := r.text(t, "out"); got != seen {
		t.Errorf("it saw\n%s\nwant\n%s", got, seen)
	}
	if disk, made := r.text(t, "disk"), r.text(t, "run/made"); disk != "written" || made != "made" {
		t.Errorf("the host sees %q and %q", disk, made)
	}
	if left, err := os.ReadDir(r.plan.Root); err != nil || len(left) > 0 {
		t.Errorf("the host sees the root: %v, %v", left, err)
	}
}

func TestAStageThatFailsSaysSo(t *testing.T) {
	r := newRig(t)
	r.plan.Binds = append(r.plan.Binds, enclose.Bind{From: "/no/such/file", To: "/x"})
	proc, err := starter.Start("/bin/true", r.plan, r.files)
	if err != nil {
		t.Skipf("nothing can be enclosed here: %v", err)
	}
	exit, err := proc.Wait(t.Context())
	if err != nil || exit.Code != enclose.Failed {
		t.Errorf("it ended with %v, %v", exit, err)
	}
	if said := r.text(t, "err"); strings.Count(said, "\n") != 1 || !strings.Contains(said, "enclosure") {
		t.Errorf("it said %q", said)
	}
}

// A warden starts its program again and again, tells how each ended, and ends
// with whoever made it; what it started lives on.
func TestWarden(t *testing.T) {
	r := newRig(t)
	w, err := starter.NewWarden(program(t, "inside"), r.plan)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for range 3 {
		if err := errors.Join(os.Truncate(filepath.Join(r.dir, "out"), 0), os.RemoveAll(filepath.Join(r.dir, "run/made"))); err != nil {
			t.Fatal(err)
		}
		if _, err := r.files.Stdout.Seek(0, 0); err != nil {
			t.Fatal(err)
		}
		proc, err := w.Start(ctx, r.files)
		if err != nil {
			t.Skipf("nothing can be enclosed here: %v", err)
		}
		exit, ok := w.Exit(ctx, proc.ID().PID)
		if !ok {
			t.Fatal("the warden does not tell the end")
		}
		r.wait(t, proc, exit, nil)
		if got := r.text(t, "out"); got != seen {
			t.Errorf("it saw\n%s\nwant\n%s", got, seen)
		}
		if err := proc.Close(); err != nil {
			t.Error(err)
		}
	}
	id, err := hostexec.Identify(w.PID())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	for err == nil && ctx.Err() == nil {
		_, err = hostexec.Open(id)
		time.Sleep(10 * time.Millisecond)
	}
	if !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("the warden outlives its maker: %v", err)
	}
	if _, err := w.Start(ctx, r.files); err == nil {
		t.Error("a closed warden starts something")
	}
}
