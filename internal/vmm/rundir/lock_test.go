package rundir

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
)

func TestLockBelongsToWhoeverHasTheFile(t *testing.T) {
	dir := t.TempDir()
	if held, err := Locked(dir); held || err != nil {
		t.Fatalf("a new directory is locked: %v, %v", held, err)
	}
	p := holder(t, dir)
	if _, err := TakeLock(dir); !errors.Is(err, vmm.ErrRunning) {
		t.Errorf("takeLock = %v", err)
	}
	// A bystander has the file open and no lock.
	other, err := os.Open(filepath.Join(dir, LockFile))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	q, err := hostexec.Spawn(hostexec.Daemon{Name: "sleep", Args: []string{"100"}, ExtraFiles: []*os.File{other}})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Kill()
	if id, err := FindHolder(dir); err != nil || id != p.ID() {
		t.Errorf("findHolder = %+v, %v; want %+v", id, err, p.ID())
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if held, err := Locked(dir); held || err != nil {
		t.Errorf("the lock outlives its holder: %v, %v", held, err)
	}
	if _, err := FindHolder(dir); !errors.Is(err, vmm.ErrNotRunning) {
		t.Errorf("findHolder = %v", err)
	}
}

// Who ends while it is looked at did not fail to be looked at.
func TestFindEnding(t *testing.T) {
	dir := t.TempDir()
	p := holder(t, dir)
	type record struct{ Process hostexec.ID }
	idOf := func(r record) hostexec.ID { return r.Process }
	strange := errors.New("it is strange")
	_, _, err := Find(dir, idOf, func(hostexec.ID) (record, error) { return record{}, strange })
	if !errors.Is(err, strange) || errors.Is(err, vmm.ErrNotRunning) {
		t.Errorf("of one that lives: %v", err)
	}
	_, _, err = Find(dir, idOf, func(id hostexec.ID) (record, error) {
		err := p.Kill()
		if err == nil {
			_, err = p.Wait(t.Context())
		}
		if err == nil {
			_, err = hostexec.Identify(id.PID)
		}
		if err == nil {
			t.Error("it is still there")
		}
		return record{}, err
	})
	if !errors.Is(err, vmm.ErrNotRunning) {
		t.Errorf("of one that has just ended: %v", err)
	}
}

// holder is a process that has the lock of a directory.
func holder(t *testing.T, dir string) *hostexec.Process {
	t.Helper()
	lock, err := TakeLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	p, err := hostexec.Spawn(hostexec.Daemon{Name: "sleep", Args: []string{"100"}, ExtraFiles: []*os.File{lock}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	return p
}
