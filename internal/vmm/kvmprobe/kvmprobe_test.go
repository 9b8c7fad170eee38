package kvmprobe

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/banger-vm/banger/internal/guest/wire"
)

func TestProbeAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		guest func(w io.Writer)
		want  string
		took  time.Duration
	}{
		"answers": {func(w io.Writer) {
			io.WriteString(w, "noise "+wire.ProbeAnswer[:5])
			time.Sleep(6 * time.Second)
			io.WriteString(w, wire.ProbeAnswer[5:]+"\n")
		}, "", 6 * time.Second},
		"says nothing": {func(io.Writer) { time.Sleep(time.Minute) }, "printed nothing", silence},
		"says too little": {func(w io.Writer) {
			io.WriteString(w, "Linux version")
			time.Sleep(time.Minute)
		}, "did not answer", Limit},
		"dies": {func(io.Writer) {}, "without an answer", 0},
		"babbles": {func(w io.Writer) {
			for range 2 * maxOutput / 4096 {
				io.WriteString(w, strings.Repeat("x", 4096))
			}
		}, "without an answer", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, w := io.Pipe()
				ended := make(chan struct{})
				go func() { defer close(ended); c.guest(w); w.Close() }()
				ctx, cancel := context.WithTimeout(t.Context(), Limit)
				defer cancel()
				began := time.Now()
				got := awaitAnswer(ctx, r, 1)
				if took := time.Since(began); took != c.took || (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
					t.Errorf("%q after %v, want %q after %v", got, took, c.want, c.took)
				}
				r.Close()
				<-ended
			})
		})
	}
}

func TestVerdictIsKeptUntilSomethingChanges(t *testing.T) {
	dir := t.TempDir()
	kernel, binary := filepath.Join(dir, "vmlinux"), filepath.Join(dir, "qemu")
	for _, f := range []string{kernel, binary} {
		if err := os.WriteFile(f, []byte("1"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	driver := func() *Prober {
		return New("test", filepath.Join(dir, "cache"), slog.New(slog.DiscardHandler), nil)
	}
	key, err := verdictKey(binary, kernel)
	if err != nil {
		t.Fatal(err)
	}
	old := verdict{Key: key, Reason: "busy", At: time.Now().Add(-2 * refusalAge)}
	if err := driver().keepVerdict(old); err != nil {
		t.Fatal(err)
	}
	if v, ok := driver().knownVerdict(key); ok {
		t.Errorf("an old refusal still counts: %+v", v)
	}
	if err := driver().keepVerdict(verdict{Key: key, At: old.At}); err != nil {
		t.Fatal(err)
	}
	if _, ok := driver().knownVerdict(key); !ok {
		t.Error("that it works is forgotten")
	}
	if err := driver().keepVerdict(verdict{Key: key, Reason: "no", At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if v, ok := driver().knownVerdict(key); !ok || v.Reason != "no" {
		t.Errorf("another process sees %+v, %v", v, ok)
	}
	if v, ok, err := Known(filepath.Join(dir, "cache"), binary, kernel); err != nil || !ok || v.Reason != "no" || v.File != driver().verdictFile(key) {
		t.Errorf("Known = %+v, %v, %v", v, ok, err)
	}
	if err := os.WriteFile(driver().verdictFile(key), []byte(`{"key":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if v, ok := driver().knownVerdict(key); ok {
		t.Errorf("a damaged verdict counts: %+v", v)
	}
	for _, f := range []string{kernel, binary} {
		if err := os.WriteFile(f, []byte("12"), 0o600); err != nil {
			t.Fatal(err)
		}
		next, err := verdictKey(binary, kernel)
		if err != nil || next == key {
			t.Errorf("the key stays when %s changes (%v)", filepath.Base(f), err)
		}
		key = next
	}
}

func TestAnEmulatedHostIsGivenTime(t *testing.T) {
	for model, want := range map[string]time.Duration{"QEMU TCG CPU version 2.5+": 8, "AMD EPYC": 1} {
		path := filepath.Join(t.TempDir(), "cpuinfo")
		if err := os.WriteFile(path, []byte("processor\t: 0\nmodel name\t: "+model+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := slownessOf(path); got != want {
			t.Errorf("%s: %d times as long, want %d", model, got, want)
		}
	}
	if got := slownessOf("/nonexistent"); got != 1 {
		t.Errorf("an unknown processor: %d", got)
	}
}

// Nobody is told to join a group that does not open the device, or root's.
func TestGrant(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kvm")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const whole = "sudo groupadd -rf kvm && sudo chgrp kvm /dev/kvm && sudo chmod 0660 /dev/kvm && sudo usermod -aG kvm ann"
	if got := GrantAt(path, "ann"); got != whole {
		t.Errorf("of a device without a group: %q", got)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		t.Fatal(err)
	}
	gid := os.Getgid() // the file's, and an ordinary user's own
	if gid == 0 {
		if got := GrantAt(path, "ann"); got != whole {
			t.Errorf("of root's group: %q", got)
		}
		gid = 1 // daemon's, which every Linux has
		if err := os.Chown(path, 0, gid); err != nil {
			t.Fatal(err)
		}
	}
	group, err := user.LookupGroupId(strconv.Itoa(gid))
	if err != nil {
		t.Fatal(err)
	}
	if got := GrantAt(path, "ann"); got != "sudo usermod -aG "+group.Name+" ann" {
		t.Errorf("of a group's device: %q", got)
	}
}
