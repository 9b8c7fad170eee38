// Package layers holds the dependency rules of the repository, as a test.
package layers

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"strings"
	"testing"
)

const module = "github.com/banger-vm/banger/"

// rule says what the packages under from may import of this module or of the
// forbidden outside packages. A prefix ending in /... covers the children.
type rule struct {
	from   string
	allow  []string // of this module; nil: anything not denied
	deny   []string // of this module or outside
	reason string
}

var leaves = []string{
	"internal/claim", "internal/event", "internal/fault", "internal/hostexec", "internal/places", "internal/version",
	"internal/stream", "internal/telemetry",
}

var rules = []rule{
	{from: "api", allow: []string{}, deny: []string{"!std"}, reason: "api is for every program: standard library only"},
	{from: "internal/cli/...", allow: []string{"client", "client/...", "api", "internal/places", "internal/version", "internal/cli/..."}, reason: "cli sees only client and api"},
	{from: "client/...", allow: []string{"api", "client/...", "internal/rpc", "internal/rpc/...", "internal/stream", "internal/places"}, reason: "client is what other programs import"},
	{from: "internal/vm", deny: []string{"api", "internal/rpc/...", "internal/store", "internal/vmm/...", "internal/disk/...", "internal/network/...", "internal/monitor/..."}, reason: "vm sees contracts only"},
	{from: "internal/rpc/...", allow: append([]string{"api", "internal/rpc/..."}, leaves...), reason: "rpc knows no VMs"},
	{from: "internal/operation", allow: leaves, reason: "operation knows no VMs"},
	{from: "internal/stream", allow: []string{}, reason: "stream is a leaf"},
	{from: "internal/guest/wire", allow: []string{}, reason: "wire is a leaf that both ends share"},
	{from: "internal/guestd/...", allow: []string{"api", "internal/guest/wire", "internal/stream", "internal/version", "internal/guestd", "internal/guestd/...", "internal/disk"}, reason: "guestd runs in the guest"},
	{from: "internal/disk", allow: leaves, reason: "a contract"},
	{from: "internal/disk/...", allow: append([]string{"internal/disk", "internal/disk/disktest"}, leaves...), reason: "children import their parent and leaves"},
	{from: "internal/network/...", allow: append([]string{"internal/network"}, leaves...), reason: "children import their parent and leaves"},
	{from: "internal/vmm", allow: []string{"internal/disk", "internal/network"}, reason: "a contract"},
	{from: "internal/vmm/...", allow: append([]string{"internal/vmm", "internal/vmm/vmmtest/...", "internal/vmm/qemu/...", "internal/disk", "internal/network", "internal/guest/wire"}, leaves...), reason: "children import their parent and leaves"},
	{from: "internal/kernel/...", allow: append([]string{"internal/kernel", "internal/kernel/..."}, leaves...), reason: "kernel knows no images and no VMs"},
	{from: "internal/service", deny: []string{"internal/store", "internal/daemon", "internal/vmm/...", "internal/disk/..."}, reason: "service calls use cases"},
}

type pkg struct {
	ImportPath string
	Imports    []string
	Doc        string
	GoFiles    []string
}

func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Doc,GoFiles", module+"...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestDependenciesGoDown(t *testing.T) {
	for _, p := range list(t) {
		from := strings.TrimPrefix(p.ImportPath, module)
		for _, r := range rules {
			if !match(r.from, from) {
				continue
			}
			for _, imp := range p.Imports {
				inside, ok := strings.CutPrefix(imp, module)
				if ok && r.allow != nil && !anyMatch(r.allow, inside) || ok && anyMatch(r.deny, inside) {
					t.Errorf("%s imports %s: %s", from, inside, r.reason)
				}
				if !ok && anyMatch(r.deny, "!std") && strings.Contains(strings.Split(imp, "/")[0], ".") {
					t.Errorf("%s imports %s: %s", from, imp, r.reason)
				}
			}
		}
	}
}

// Only wiring may import a driver, and only hostexec may start processes.
func TestWiringIsInTwoPlaces(t *testing.T) {
	drivers := []string{
		"internal/vmm/qemu", "internal/disk/guestcow", "internal/disk/copy",
		"internal/network/user", "internal/network/none", "internal/image/bootstrap",
	}
	wiring := []string{"internal/daemon", "internal/monitor", "test/...", "bench/..."}
	mayExec := []string{"internal/hostexec", "internal/cli/...", "client/...", "internal/guestd/...", "internal/disk/disktest", "test/...", "bench/..."}
	for _, p := range list(t) {
		from := strings.TrimPrefix(p.ImportPath, module)
		for _, imp := range p.Imports {
			inside := strings.TrimPrefix(imp, module)
			if anyMatch(drivers, inside) && !anyMatch(wiring, from) && path.Dir(from) != inside {
				t.Errorf("%s imports the driver %s: only internal/daemon and internal/monitor wire", from, inside)
			}
			if imp == "os/exec" && !anyMatch(mayExec, from) {
				t.Errorf("%s imports os/exec: only internal/hostexec starts processes", from)
			}
		}
	}
}

func TestEveryPackageIsDocumented(t *testing.T) {
	for _, p := range list(t) {
		if p.Doc == "" && len(p.GoFiles) > 0 {
			t.Errorf("%s has no doc comment", p.ImportPath)
		}
	}
}

func anyMatch(patterns []string, p string) bool {
	for _, pattern := range patterns {
		if match(pattern, p) {
			return true
		}
	}
	return false
}

func match(pattern, p string) bool {
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return strings.HasPrefix(p, base+"/") || p == base && !strings.HasPrefix(base, "internal/disk") && !strings.HasPrefix(base, "internal/network") && !strings.HasPrefix(base, "internal/vmm")
	}
	return pattern == p
}
