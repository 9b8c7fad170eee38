package enclose_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/vmm/firecracker/enclose"
	"github.com/banger-vm/banger/internal/vmm/firecracker/wire"
)

// An enclosed program has a network card whose frames come to us: over the
// wire that it passes when it starts, and over the one that whoever comes
// later takes from it.
func TestCard(t *testing.T) {
	if why := wire.Missing(); why != "" {
		t.Skip(why)
	}
	r := newRig(t)
	r.plan.Wire = 4
	r.plan.Binds = append(r.plan.Binds, enclose.Bind{From: wire.Device, To: wire.Device, Device: true})
	ours, theirs, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	r.files.Extra = append(r.files.Extra, theirs)
	proc, err := starter.Start(program(t, "card"), r.plan, r.files)
	if err != nil {
		t.Skipf("nothing can be enclosed here: %v", err)
	}
	defer func() {
		_ = proc.Kill() // it may have ended
		_, _ = proc.Wait(context.Background())
	}()
	theirs.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	first, err := wire.Receive(ctx, ours)
	if err != nil {
		t.Fatalf("%v; it said %s", err, r.text(t, "err"))
	}
	talk(t, first, "first")
	first.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for ; ctx.Err() == nil; time.Sleep(10 * time.Millisecond) { // until the stage has become the program
		if exe, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(proc.ID().PID), "exe")); err == nil && exe != self {
			break
		}
	}
	next, err := wire.Of(proc.Pass(), 4)
	if err != nil {
		t.Fatalf("%v; it said %s", err, r.text(t, "err"))
	}
	defer next.Close()
	talk(t, next, "second")
	if _, err := wire.Of(proc.Pass(), 3); err == nil {
		t.Error("a file that is no socket was taken for a wire")
	}
	if err := proc.Kill(); err != nil {
		t.Fatal(err)
	}
}

// talk wants frames to come and go.
func talk(t *testing.T, w *os.File, word string) {
	t.Helper()
	l, err := wire.NewLink(w)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	late := time.AfterFunc(20*time.Second, func() { l.Close() })
	defer late.Stop()
	head := string([]byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5})
	buf := make([]byte, network.MaxFrame)
	var back strings.Builder
	for i := len(word) - 1; i >= 0; i-- {
		back.WriteByte(word[i])
	}
	heard := map[string]bool{}
	for !heard["from the guest"] || !heard[back.String()] {
		if err := l.WriteFrames([][]byte{[]byte(head + word)}); err != nil {
			t.Fatalf("writing: %v", err)
		}
		n, err := l.ReadFrame(buf)
		if err != nil {
			t.Fatalf("reading: %v; heard %v", err, heard)
		}
		if n > 14 && buf[12] == 0x88 {
			heard[string(buf[14:n])] = true
		}
	}
}

func TestMissingDeviceIsNamed(t *testing.T) {
	if why := wire.MissingAt("/no/such/device"); !strings.Contains(why, "no /dev/net/tun") || !strings.Contains(why, "modprobe tun") {
		t.Errorf("a missing one: %q", why)
	}
	if os.Getuid() != 0 {
		path := filepath.Join(t.TempDir(), "tun")
		if err := os.WriteFile(path, nil, 0o000); err != nil {
			t.Fatal(err)
		}
		if why := wire.MissingAt(path); !strings.Contains(why, "may not open /dev/net/tun") {
			t.Errorf("one that is not ours: %q", why)
		}
	}
	if why := wire.MissingAt(t.TempDir()); !strings.Contains(why, "/dev/net/tun cannot be opened") {
		t.Errorf("something else: %q", why)
	}
}
