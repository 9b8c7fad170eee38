package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/banger-vm/banger/api"
)

// cramped is an environment whose state lies on a small file system.
func cramped(t *testing.T, megabytes string) *env {
	t.Helper()
	e := bare(t)
	if err := os.Mkdir(e.state(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", e.state(), "tmpfs", 0, "mode=700,nr_inodes=5000,size="+megabytes+"m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			e.dump(t)
		}
		e.shutdown()
		if err := syscall.Unmount(e.state(), syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return e
}

// fill takes all room but some megabytes and returns the file that does.
func (e *env) fill(t *testing.T, leave int64) string {
	t.Helper()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(e.state(), &fs); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(e.state(), "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size := int64(fs.Bavail)*fs.Bsize - max(leave, 1)<<20
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, size); err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 4096)
	for at := size; leave == 0; at += int64(len(block)) { // the last megabyte, to the last block
		if _, err := f.WriteAt(block, at); err != nil {
			break
		}
	}
	return path
}

// fillFiles makes empty files until no more can be made but some, and returns them.
func (e *env) fillFiles(t *testing.T, leave int) (made []string) {
	t.Helper()
	for i := 0; ; i++ {
		path := filepath.Join(e.state(), fmt.Sprintf("filler-%d", i))
		f, err := os.Create(path)
		if errors.Is(err, syscall.ENOSPC) {
			break
		}
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, path)
	}
	made, spare := made[:len(made)-leave], made[len(made)-leave:]
	for _, path := range spare {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	return made
}

// A disk with no room is refused before anything is made; one that is full
// half-way (of files, which nobody asks for before) is left as it was.
func TestNoSpaceWhileCreating(t *testing.T) {
	e := cramped(t, "900")
	e.ok(t, "vm", "create", "-n", "first")
	e.ok(t, "rm", "first")
	for _, of := range []struct {
		what, says string
		fill       func() []string
	}{
		{"bytes", "free", func() []string { return []string{e.fill(t, 0)} }},
		{"files", "no space left", func() []string { return e.fillFiles(t, 3) }},
	} {
		fillers := of.fill()
		r := e.banger(t, "vm", "create", "-n", "second")
		if r.code == 0 || !strings.Contains(r.stderr, of.says) {
			t.Errorf("creating on a disk full of %s: %s", of.what, r)
		}
		for _, filler := range fillers {
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
		}
		if left := e.residue(t); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
	}
	e.ok(t, "vm", "create", "-n", "second")
}

// A full disk pauses the VM; it goes on with nothing lost.
func TestLongNoSpaceWhileRunning(t *testing.T) {
	notOnFake(t, "it hands its guests the error of a full disk")
	e := cramped(t, "1200")
	e.vm(t, "full")
	filler := e.fill(t, 40)
	e.ok(t, "exec", "-d", "full", "--", "sh", "-c",
		"head -c 80M /dev/urandom | tee ~/big | sha256sum >~/sum; sync; echo done >~/done; sync")
	await(t, "the VM to be paused", func() bool { return e.inspect(t, "full").State == api.StatePaused })
	if v := e.inspect(t, "full"); !strings.Contains(v.Reason, "disk is full") {
		t.Errorf("the reason is %q", v.Reason)
	}
	if out := e.ok(t, "events", "--json", "--since", "0"); !strings.Contains(out, `"vm.paused"`) {
		t.Errorf("no event tells it")
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	await(t, "the VM to go on", func() bool { return e.inspect(t, "full").State == api.StateRunning })
	await(t, "the guest to finish", func() bool { return e.banger(t, "exec", "full", "--", "cat", "done").code == 0 })
	out := e.ok(t, "exec", "full", "--", "sh", "-c", "sudo sh -c 'echo 3 >/proc/sys/vm/drop_caches'; sha256sum <~/big; cat ~/sum")
	if lines := strings.Split(strings.TrimSpace(out), "\n"); len(lines) != 2 || lines[0] != lines[1] {
		t.Errorf("the guest's data changed: %q", out)
	}
}

// A bootstrap that fails half-way leaves nothing and says why.
func TestBootstrapFailsHalfWay(t *testing.T) {
	bin := t.TempDir()
	script := "#!/bin/sh\nfor a; do :; done\necho 'I: downloading packages with apt...' >&2\nsleep 1\necho 'E: the mirror fell over' >&2\nexit 25\n"
	if err := os.WriteFile(filepath.Join(bin, "mmdebstrap"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	e := bare(t, "PATH="+bin+":"+os.Getenv("PATH"), "BANGER_CACHE_DIR="+t.TempDir())
	r := e.banger(t, "image", "bootstrap", "debian")
	if r.code == 0 || !strings.Contains(r.stderr, "the mirror fell over") {
		t.Errorf("%s", r)
	}
	left, err := filepath.Glob(filepath.Join(e.state(), "images/*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v (%v)", left, err)
	}
	if out := e.ok(t, "image", "ls", "-q"); strings.TrimSpace(out) != "" {
		t.Errorf("an image is there: %q", out)
	}
}
