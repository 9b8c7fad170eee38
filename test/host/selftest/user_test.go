package selftest

import (
	"os"
	"strings"
	"testing"
)

// An ordinary user in a login session, with a manager that outlives it.
func TestRealUserSession(t *testing.T) {
	inHost(t)
	if os.Getuid() == 0 {
		t.Fatal("this is root")
	}
	if state := sh(t, "systemctl --user is-system-running"); state != "running" {
		t.Errorf("the user's manager is %s", state)
	}
	if out := sh(t, "cat /proc/self/cgroup"); !strings.Contains(out, "/user.slice/user-1001.slice/session-") {
		t.Errorf("the tests are in the cgroup %s", out)
	}
	if out := sh(t, "loginctl show-user user -p Linger"); out != "Linger=yes" {
		t.Error(out)
	}
	if out := sh(t, "systemd-run --user --wait --pipe --quiet cat /proc/self/cgroup"); !strings.Contains(out, "user@1001.service/app.slice/run-") {
		t.Errorf("a transient service is in the cgroup %s", out)
	}
}

// A TAP in a network namespace that the user makes itself.
func TestRealUserNamespaces(t *testing.T) {
	inHost(t)
	out := sh(t, "unshare --user --map-root-user --net sh -ec 'ip tuntap add name tap0 mode tap; ip -o link show tap0'")
	if !strings.Contains(out, "tap0") {
		t.Error(out)
	}
	if out := sh(t, "unshare --user --map-auto --map-root-user --mount --pid --fork sh -ec 'mount -t tmpfs tmpfs /mnt; id -u'"); out != "0" {
		t.Error(out)
	}
}
