package power

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/guest/wire"
)

const table = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/dm-0 rw,errors=remount-ro
23 22 0:5 / /dev rw,nosuid shared:2 - devtmpfs devtmpfs rw,size=1k
24 22 0:6 / /run rw,nosuid,nodev - tmpfs tmpfs rw,mode=755
25 22 254:16 / /home/a\040b\134 rw master:3 propagate_from:2 - ext4 /dev/vdb rw
26 22 254:48 / /lib/modules/6 ro - ext4 /dev/vdd ro
27 22 0:30 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw,lowerdir=/a
a line that is none
28 22 0:31 / /too/short rw - ext4
`

func TestParseMounts(t *testing.T) {
	got, err := parseMounts(strings.NewReader(table))
	if err != nil || len(got) != 6 {
		t.Fatalf("%+v, %v", got, err)
	}
	if want := (mount{target: `/home/a b\`, kind: "ext4", source: "/dev/vdb"}); got[3] != want {
		t.Errorf("%+v, want %+v", got[3], want)
	}
	for i, want := range []struct{ onDisk, ours, readOnly bool }{
		{true, false, false},
		{false, true, false},
		{false, true, false},
		{true, false, false},
		{true, false, true},
		{false, false, false},
	} {
		if m := got[i]; m.onDisk() != want.onDisk || m.ours() != want.ours || m.readOnly != want.readOnly {
			t.Errorf("%s: on disk %v, ours %v, read-only %v", m.target, m.onDisk(), m.ours(), m.readOnly)
		}
	}
}

func TestFlushed(t *testing.T) {
	for name, test := range map[string]struct {
		change func(string) string
		want   bool
	}{
		"running":   {func(s string) string { return s }, false},
		"root only": {func(s string) string { return strings.Replace(s, "dm-0 rw", "dm-0 ro", 1) }, false},
		"all":       {func(s string) string { return strings.NewReplacer("dm-0 rw", "dm-0 ro", "vdb rw", "vdb ro").Replace(s) }, true},
		"mount flag is not the file system's": {func(s string) string {
			return strings.NewReplacer("/ rw,relatime", "/ ro,relatime", "vdb rw", "vdb ro").Replace(s)
		}, false},
	} {
		all, err := parseMounts(strings.NewReader(test.change(table)))
		if err != nil {
			t.Fatal(err)
		}
		if got := flushed(all); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzParseMounts(f *testing.F) {
	f.Add(table)
	f.Add("1 2 3 4 5 6 - - - -")
	f.Fuzz(func(t *testing.T, s string) {
		all, err := parseMounts(strings.NewReader(s))
		if err == nil && len(all) > strings.Count(s, "\n")+1 {
			t.Errorf("%d mounts of %q", len(all), s)
		}
	})
}

func TestInitKind(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"systemd", "busybox", "openrc-init"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(dir, "init")
	for target, want := range map[string]Init{"systemd": Systemd, "busybox": Busybox, "openrc-init": Other} {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		if got := InitKind(link); got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
		if err := os.Remove(link); err != nil {
			t.Fatal(err)
		}
	}
	if got := InitKind(""); got != None {
		t.Errorf("without an init: %q", got)
	}
}

// What is asked for by a signal must be what PID 1 understands by it.
func TestSignals(t *testing.T) {
	for _, action := range []wire.Halt{wire.HaltPoweroff, wire.HaltReboot} {
		if got := actionFor(signalFor(None, action)); got != action {
			t.Errorf("banger-guest as PID 1 takes a %s for a %s", action, got)
		}
		if signalFor(Busybox, action) != signalFor(None, action) {
			t.Errorf("busybox's %s does not work under banger-guest", action)
		}
	}
	if sig := signalFor(Systemd, wire.HaltPoweroff); sig != 38 { // SIGRTMIN+4
		t.Errorf("systemd's poweroff is signal %d", sig)
	}
	if sig := signalFor(Systemd, wire.HaltReboot); sig != 39 {
		t.Errorf("systemd's reboot is signal %d", sig)
	}
	if sig := signalFor(Other, wire.HaltReboot); sig != 0 {
		t.Errorf("an unknown init would get signal %d", sig)
	}
	if actionFor(unix.SIGPWR) != wire.HaltPoweroff {
		t.Error("a power failure does not power off")
	}
}
