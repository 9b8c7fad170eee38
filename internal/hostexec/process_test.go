package hostexec_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
)

func spawn(t *testing.T, d hostexec.Daemon) *hostexec.Process {
	t.Helper()
	p, err := hostexec.Spawn(d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func sleeper(t *testing.T) *hostexec.Process {
	return spawn(t, hostexec.Daemon{Name: "sleep", Args: []string{"100"}})
}

func TestSpawnHandsOverWhatItShould(t *testing.T) {
	dir := t.TempDir()
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	extra, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer extra.Close()
	// As a shell might have left us: a descriptor without close-on-exec.
	leak, err := syscall.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(leak)
	p := spawn(t, hostexec.Daemon{
		Name: "sh", Args: []string{"-c", `pwd; echo $A; ls /proc/self/fd; ps -o sid= -p $$ | tr -d ' '; echo $$; exit 3`},
		Dir: dir, Env: []string{"A=b", "PATH=/usr/bin:/bin"}, Stdout: out, ExtraFiles: []*os.File{extra},
	})
	exit, err := p.Wait(t.Context())
	if err != nil || !exit.Known || exit.Code != 3 {
		t.Fatalf("Wait = %+v, %v", exit, err)
	}
	b, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Fields(string(b))
	want := dir + " b 0 1 2 3 4" // 4 is the directory that ls reads
	if len(got) != 9 || strings.Join(got[:7], " ") != want || got[7] != got[8] {
		t.Errorf("child saw %q, want %q and a session of its own", got, want)
	}
}

func TestSpawnMissing(t *testing.T) {
	if _, err := hostexec.Spawn(hostexec.Daemon{Name: "banger-no-such-program"}); !errors.Is(err, hostexec.ErrNotInstalled) {
		t.Errorf("Spawn = %v", err)
	}
}

func TestOpenWaitsForANonChild(t *testing.T) {
	// The grandchild is nobody's child of ours.
	res, err := hostexec.Host{}.Run(t.Context(), sh(`sleep 100 >/dev/null 2>&1 & echo $!`))
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	for _, c := range strings.TrimSpace(string(res.Stdout)) {
		pid = pid*10 + int(c-'0')
	}
	id, err := hostexec.Identify(pid)
	if err != nil {
		t.Fatal(err)
	}
	p, err := hostexec.Open(id)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := p.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait on a living process = %v", err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if exit, err := p.Wait(t.Context()); err != nil || exit.Known {
		t.Errorf("Wait = %v, %v", exit, err)
	}
	if err := p.Kill(); err != nil {
		t.Errorf("killing the dead: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpenIsSafeFromPidReuse(t *testing.T) {
	p := sleeper(t)
	for name, change := range map[string]func(*hostexec.ID){
		"start": func(id *hostexec.ID) { id.StartTime++ },
		"boot":  func(id *hostexec.ID) { id.BootID = "other" },
	} {
		id := p.ID()
		change(&id)
		if _, err := hostexec.Open(id); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("%s differs: Open = %v", name, err)
		}
	}
	if q, err := hostexec.Open(p.ID()); err != nil {
		t.Errorf("Open = %v", err)
	} else if err := q.Close(); err != nil {
		t.Error(err)
	}
}

func TestCloseEndsWait(t *testing.T) {
	p := sleeper(t)
	q, err := hostexec.Open(p.ID())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { _, err := q.Wait(context.Background()); ended <- err }()
	if err := q.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, os.ErrClosed) {
		t.Errorf("Wait = %v", err)
	}
}

func TestForgottenChildIsReaped(t *testing.T) {
	p := sleeper(t)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the child is reaped", func() bool {
		_, err := hostexec.Identify(p.ID().PID)
		return errors.Is(err, os.ErrProcessDone)
	})
}

func TestSignalOfAChildIsKnown(t *testing.T) {
	p := sleeper(t)
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	exit, err := p.Wait(t.Context())
	if err != nil || exit.Signal != syscall.SIGKILL || exit.String() != "ended by signal killed" {
		t.Errorf("Wait = %v, %v", exit, err)
	}
}

// A process that is passed on is held, also when it has ended and is reaped.
func TestHoldOfWhatHasEnded(t *testing.T) {
	p := spawn(t, hostexec.Daemon{Name: "true"})
	if _, err := p.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := hostexec.Open(p.ID()); !errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("Open = %v", err)
	}
	q, err := hostexec.Hold(p.ID(), p.Pass())
	if err != nil {
		t.Fatal(err)
	}
	if exit, err := q.Wait(t.Context()); err != nil || exit.Known {
		t.Errorf("Wait = %v, %v", exit, err)
	}
	if err := errors.Join(q.Kill(), q.Close()); err != nil {
		t.Error(err)
	}
	living := sleeper(t)
	r, err := hostexec.Hold(living.ID(), living.Pass())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := r.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait on a living process = %v", err)
	}
}
