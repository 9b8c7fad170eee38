package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// An image holds nothing that would be the same in all its VMs, no kernel and
// no agent.
func TestImageHoldsNoIdentity(t *testing.T) {
	e := private(t)
	e.debian(t)
	roots, err := filepath.Glob(filepath.Join(e.state(), "images/*/root.img"))
	if err != nil || len(roots) != 1 {
		t.Fatalf("images: %v %v", roots, err)
	}
	look := func(request string) string {
		out, err := exec.Command("debugfs", "-R", request, roots[0]).CombinedOutput()
		if err != nil {
			t.Fatalf("debugfs %s: %v: %s", request, err, out)
		}
		return string(out)
	}
	if keys := look("ls -p /etc/ssh"); strings.Contains(keys, "ssh_host_") || !strings.Contains(keys, "sshd_config") {
		t.Errorf("/etc/ssh: %s", keys)
	}
	if id := look("stat /etc/machine-id"); !strings.Contains(id, "Size: 0") {
		t.Errorf("the machine ID is not empty: %s", id)
	}
	for dir, not := range map[string]string{"/boot": "vmlinuz", "/lib/modules": "/6.", "/usr/lib/modules": "/6.", "/run": "banger"} {
		if got := look("ls -p " + dir); strings.Contains(got, not) {
			t.Errorf("%s holds %s: %s", dir, not, got)
		}
	}
	if programs := look("ls -p /usr/bin"); !strings.Contains(programs, "/git/") || !strings.Contains(programs, "/curl/") || !strings.Contains(programs, "/sudo/") {
		t.Errorf("programs are missing: %d bytes", len(programs))
	}
}
