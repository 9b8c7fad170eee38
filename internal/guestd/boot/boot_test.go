package boot

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/disk"
)

func TestParseCmdline(t *testing.T) {
	for line, want := range map[string]args{
		"console=ttyS0 banger.root=cow banger.user=dev quiet\n": {root: disk.RootCOW, user: "dev"},
		"banger.root=cow banger.root=raw":                       {root: disk.RootRaw},
		"panic=-1 banger.probe":                                 {probe: true},
		"xbanger.root=raw banger.root=raw":                      {root: disk.RootRaw},
	} {
		if got, err := parseCmdline(line); err != nil || got != want {
			t.Errorf("%q: %+v, %v", line, got, err)
		}
	}
	for _, line := range []string{"", "console=ttyS0", "banger.root=nfs", "banger.root"} {
		if got, err := parseCmdline(line); err == nil {
			t.Errorf("%q was taken: %+v", line, got)
		}
	}
}

func TestReviveSnapshot(t *testing.T) {
	const rest = "\x01\x00\x00\x00\x20\x00\x00\x00more"
	for name, test := range map[string]struct {
		header, want string
		revived      bool
	}{
		"invalid": {"SnAp\x00\x00\x00\x00" + rest, "SnAp\x01\x00\x00\x00" + rest, true},
		"valid":   {"SnAp\x01\x00\x00\x00" + rest, "SnAp\x01\x00\x00\x00" + rest, false},
		"new":     {strings.Repeat("\x00", 20), strings.Repeat("\x00", 20), false},
		"foreign": {"XFSB\x00\x00\x00\x00" + rest, "XFSB\x00\x00\x00\x00" + rest, false},
	} {
		path := filepath.Join(t.TempDir(), "layer")
		if err := os.WriteFile(path, []byte(test.header), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		revived, err := reviveSnapshot(f)
		if err != nil || revived != test.revived {
			t.Errorf("%s: revived %v, %v", name, revived, err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != test.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	short, err := os.CreateTemp(t.TempDir(), "short")
	if err != nil {
		t.Fatal(err)
	}
	defer short.Close()
	if _, err := reviveSnapshot(short); err == nil {
		t.Error("a layer without a header was taken")
	}
}

func TestHoldsExt4(t *testing.T) {
	for name, test := range map[string]struct {
		content string
		want    bool
	}{
		"ext4":  {strings.Repeat("\x00", ext4MagicAt) + ext4Magic, true},
		"zeros": {strings.Repeat("\x00", 4096), false},
		"short": {"x", false},
	} {
		path := filepath.Join(t.TempDir(), "drive")
		if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := holdsExt4(path); err != nil || got != test.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if got, err := holdsExt4(filepath.Join(t.TempDir(), "none")); err != nil || got {
		t.Errorf("no drive: %v, %v", got, err)
	}
}

func TestLookUp(t *testing.T) {
	passwd := strings.Join([]string{
		"root:x:0:0:root:/root:/bin/sh", "# a comment", "dev:x:1000:1001:Dev,,,:/home/./dev/:/bin/bash",
		"slash:x:1:1::/:/bin/sh", "relative:x:1:1::home:/bin/sh", "odd:x:-1:1::/home/odd:/bin/sh",
		"huge:x:99999999999:1::/home/huge:/bin/sh", "short:x:1:1",
	}, "\n")
	if got, err := lookUp(strings.NewReader(passwd), "dev"); err != nil || got != (account{1000, 1001, "/home/dev"}) {
		t.Errorf("dev: %+v, %v", got, err)
	}
	for _, name := range []string{"slash", "relative", "odd", "huge", "short", "nobody", ""} {
		if got, err := lookUp(strings.NewReader(passwd), name); err == nil {
			t.Errorf("%q was taken: %+v", name, got)
		}
	}
	far := strings.Repeat("#\n", maxPasswd) + "late:x:1:1::/home/late:/bin/sh\n"
	if got, err := lookUp(strings.NewReader(far), "late"); err == nil {
		t.Errorf("an entry beyond the bound was read: %+v", got)
	}
}

func TestCanWait(t *testing.T) {
	for _, test := range []struct {
		name string
		root disk.RootMode
		port bool
		want bool
	}{
		{"006-virtio_blk.ko", disk.RootCOW, true, false},
		{"007-virtio_console.ko", disk.RootCOW, true, false},
		{"008-virtio-rng.ko.xz", disk.RootCOW, true, true},
		{"010-net_failover.ko", disk.RootCOW, true, true},
		{"011-virtio_net.ko", disk.RootCOW, false, true},
		{"014-dm-snapshot.ko", disk.RootCOW, true, false},
		{"014-dm_snapshot.ko", disk.RootRaw, true, true},
		{"017-vmw_vsock_virtio_transport.ko", disk.RootCOW, false, false},
		{"017-vmw_vsock_virtio_transport.ko", disk.RootCOW, true, true},
	} {
		if got := canWait(test.name, test.root, test.port); got != test.want {
			t.Errorf("%s on %s, port %v: %v", test.name, test.root, test.port, got)
		}
	}
}
