package e2e

import (
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/monitor/control"
)

// A root that QEMU joins keeps what is written; and a work disk that became larger
// is grown by its guest, while that runs and at its next boot, with what is in it.
func TestDisks(t *testing.T) {
	notOnFake(t, noKernel)
	e := common(t)
	e.refused(t, 5, []string{"firecracker cannot read the root that the disk driver qcow2 makes", "--vmm auto"},
		"create", "--vmm", "firecracker", "--network", "none", "--disk-driver", "qcow2")
	driver := "qcow2"
	if strings.Contains(os.Getenv("BANGER_TEST_CONFIG"), "firecracker") {
		driver = "copy"
	}
	e.vm(t, "elastic", "--network", "none", "--disk", "96M", "--disk-driver", driver)
	dir := e.inspect(t, "elastic").Dir
	root := func() string {
		return e.ok(t, "exec", "-u", "root", "elastic", "--", "sh", "-c", "findmnt -no SOURCE / && cat /srv/kept && md5sum </srv/data && md5sum </usr/bin/curl")
	}
	e.ok(t, "exec", "-u", "root", "elastic", "--", "sh", "-c", "echo root >/srv/kept && head -c 20M /dev/urandom >/srv/data && sync")
	rootWas := root()
	if !strings.HasPrefix(rootWas, "/dev/vda\nroot\n") {
		t.Errorf("root is %q", rootWas)
	}
	size := func() int64 {
		t.Helper()
		var h api.VMHealth
		if err := json.Unmarshal([]byte(e.ok(t, "health", "--json", "elastic")), &h); err != nil {
			t.Fatal(err)
		}
		return h.WorkSize
	}
	grown := func(was, to int64) {
		t.Helper()
		if now := size(); now < to*9/10 || now > to {
			t.Errorf("the guest's home has %d bytes of %d, before it had %d", now, to, was)
		}
		if got := e.ok(t, "exec", "elastic", "--", "cat", "kept"); got != "kept\n" {
			t.Errorf("what was in it: %q", got)
		}
		if v := e.inspect(t, "elastic"); strings.Contains(strings.Join(v.Reduced, " "), "work disk") {
			t.Errorf("%q", v.Reduced)
		}
	}
	e.ok(t, "exec", "elastic", "--", "sh", "-c", "echo kept >kept && sync")
	before := size()
	path := filepath.Join(dir, "work.img")
	if err := disk.Grow(path, 1<<30); err != nil {
		t.Fatal(err)
	}
	runtime := control.New(slog.New(slog.DiscardHandler), control.Config{})
	for range 2 {
		if err := runtime.GrowWork(t.Context(), dir, 1<<30); err != nil {
			t.Fatal(err)
		}
	}
	grown(before, 1<<30)
	// More than there was room for, of which little is written.
	e.ok(t, "exec", "elastic", "--", "sh", "-c", "fallocate -l 500M big && head -c 4M /dev/urandom | dd of=big bs=1M seek=490 iflag=fullblock conv=notrunc status=none && sync")
	big := func() string {
		return e.ok(t, "exec", "elastic", "--", "sh", "-c", "stat -c %s big && tail -c 10M big | md5sum")
	}
	bigWas := big()
	e.ok(t, "kill", "elastic") // what was synced is there all the same
	if err := disk.Grow(path, 20<<30); err != nil {
		t.Fatal(err)
	}
	e.ok(t, "start", "elastic")
	grown(1<<30, 20<<30)
	if now := root(); now != rootWas {
		t.Errorf("what was on the root is not there any more: %q, then %q", rootWas, now)
	}
	if now := big(); now != bigWas || !strings.HasPrefix(now, "524288000\n") {
		t.Errorf("what was in it is not there any more: %q, then %q", bigWas, now)
	}
	if driver != "qcow2" {
		return
	}
	e.ok(t, "kill", "elastic")
	overlay := filepath.Join(dir, "root.qcow2")
	out, err := exec.Command("qemu-img", "check", "-f", "qcow2", overlay).CombinedOutput()
	const leaks = 3 // clusters that the kill left, and nothing else
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != leaks) {
		t.Errorf("%v: %s", err, out)
	}
	seeds, err := filepath.Glob(filepath.Join(e.state(), "images/*/seeds/*-100663296.img"))
	if err != nil || len(seeds) != 1 {
		t.Errorf("the image's prepared work disks: %v, %v", seeds, err)
	}
}
