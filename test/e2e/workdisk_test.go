package e2e

import (
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/disk/workdisk"
	"github.com/banger-vm/banger/internal/monitor/control"
)

// A work disk that became larger is grown by its guest: while it runs, and at
// its next boot; what is in it stays.
func TestWorkDiskGrows(t *testing.T) {
	notOnFake(t, noKernel)
	e := common(t)
	e.vm(t, "elastic", "--network", "none", "--disk", "96M")
	dir := e.inspect(t, "elastic").Dir
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
	if err := workdisk.Grow(path, 1<<30); err != nil {
		t.Fatal(err)
	}
	runtime := control.New(slog.New(slog.DiscardHandler), control.Config{})
	for range 2 {
		if err := runtime.GrowWork(t.Context(), dir, 1<<30); err != nil {
			t.Fatal(err)
		}
	}
	grown(before, 1<<30)
	e.ok(t, "exec", "elastic", "--", "sh", "-c", "head -c 200M /dev/zero >big && sync")
	e.ok(t, "stop", "elastic")
	if err := workdisk.Grow(path, 20<<30); err != nil {
		t.Fatal(err)
	}
	e.ok(t, "start", "elastic")
	grown(1<<30, 20<<30)
	if got := e.ok(t, "exec", "elastic", "--", "stat", "-c", "%s", "big"); got != "209715200\n" {
		t.Errorf("what was in it: %q", got)
	}
}
