package launch

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/places"
	"github.com/banger-vm/banger/internal/rpc"
	"github.com/banger-vm/banger/internal/rpc/rpcserver"
)

// TestMain plays the daemon when it is started as one.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) != "bangerd" {
		os.Exit(m.Run())
	}
	if os.Getenv("TEST_DAEMON_FAILS") != "" {
		fmt.Fprintln(os.Stderr, "bangerd: the state directory is on fire\n  hint: Put it out.")
		os.Exit(1)
	}
	dir := os.Args[4]
	f, _ := os.OpenFile(filepath.Join(dir, "started"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	fmt.Fprintln(f, os.Getpid())
	f.Close()
	l, err := rpc.Listen(os.Args[6], 0o600)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	rpcserver.New(slog.New(slog.DiscardHandler), rpcserver.Config{}).Serve(ctx, l)
	os.Exit(0)
}

// asDaemon makes this test program the bangerd of PATH.
func asDaemon(t *testing.T) places.Places {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(self, filepath.Join(bin, "bangerd")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	p, err := places.Resolve(places.Flags{StateDir: filepath.Join(t.TempDir(), "state")}, places.Env{Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTenAtOnce(t *testing.T) {
	p := asDaemon(t)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if err := Daemon(t.Context(), p); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	started, err := os.ReadFile(filepath.Join(p.RuntimeDir, "started"))
	if err != nil {
		t.Fatal(err)
	}
	pids := strings.Fields(string(started))
	if len(pids) != 1 {
		t.Errorf("%d daemons were started", len(pids))
	}
	for _, s := range pids {
		var pid int
		fmt.Sscan(s, &pid)
		if sid, _, errno := syscall.RawSyscall(syscall.SYS_GETSID, uintptr(pid), 0, 0); errno != 0 || int(sid) != pid {
			t.Errorf("the daemon %d is in the session %d", pid, sid)
		}
		syscall.Kill(pid, syscall.SIGTERM)
	}
}

func TestDaemonThatFails(t *testing.T) {
	p := asDaemon(t)
	t.Setenv("TEST_DAEMON_FAILS", "1")
	err := Daemon(t.Context(), p)
	want := api.NewError(api.KindUnavailable, "the daemon ended as soon as it was started: the state directory is on fire", "Put it out.")
	if got, ok := err.(*api.Error); !ok || *got != *want {
		t.Errorf("got %#v", err)
	}
}

func TestNoDaemon(t *testing.T) {
	p := asDaemon(t)
	t.Setenv("PATH", t.TempDir())
	if err := Daemon(t.Context(), p); api.KindOf(err) != api.KindUnavailable || !strings.Contains(err.Error(), "not found") {
		t.Errorf("got %v", err)
	}
}
