package selftest

import (
	"strings"
	"testing"
)

func TestRealRootSystem(t *testing.T) {
	inHost(t)
	if state := sh(t, "systemctl is-system-running"); state != "running" {
		t.Errorf("the system is %s:\n%s", state, sh(t, "systemctl --failed --plain --no-legend"))
	}
	for _, unit := range []string{"dbus", "systemd-logind", "systemd-resolved", "systemd-networkd", "systemd-udevd", "nftables"} {
		if state := sh(t, "systemctl is-active "+unit); state != "active" {
			t.Errorf("%s is %s", unit, state)
		}
	}
	if out := sh(t, "systemd-run --wait --pipe --quiet sh -c 'cat /proc/self/cgroup'"); !strings.HasPrefix(out, "0::/system.slice/run-") {
		t.Errorf("a transient service is in the cgroup %s", out)
	}
}

// A device-mapper snapshot over a loop device takes a write and leaves its
// origin as it was.
func TestRealRootDeviceMapper(t *testing.T) {
	inHost(t)
	out := sh(t, `
cd $(mktemp -d)
truncate -s 16M base cow
base=$(losetup --find --show --read-only base)
cow=$(losetup --find --show cow)
echo "0 32768 snapshot $base $cow P 32" | dmsetup create selftest
printf changed | dd of=/dev/mapper/selftest conv=fsync status=none
head -c 7 /dev/mapper/selftest
echo
cmp -n 4096 base /dev/zero && echo base unchanged
dmsetup remove selftest
losetup -d "$base" "$cow"`)
	if out != "changed\nbase unchanged" {
		t.Error(out)
	}
}

// A rule counts what comes in on a TAP.
func TestRealRootNetwork(t *testing.T) {
	inHost(t)
	out := sh(t, `
ip netns add selftest
trap 'ip netns del selftest' EXIT
ip -n selftest link set lo up
ip -n selftest tuntap add name tap0 mode tap
ip -n selftest link add br0 type bridge
ip -n selftest link set tap0 master br0
in="ip netns exec selftest"
$in nft add table inet selftest
$in nft add chain inet selftest in '{ type filter hook input priority 0; }'
$in nft add rule inet selftest in iif lo icmp type echo-request counter
$in ping -c 2 -i 0.2 127.0.0.1 >/dev/null
$in nft list chain inet selftest in`)
	if !strings.Contains(out, "counter packets 2 ") {
		t.Error(out)
	}
}

// A name is asked of the server that a link has for its domain.
func TestRealRootResolved(t *testing.T) {
	inHost(t)
	out := sh(t, `
ip link add selftest0 type dummy
trap 'ip link del selftest0' EXIT
ip addr add 192.0.2.1/24 dev selftest0
ip link set selftest0 up
resolvectl dns selftest0 192.0.2.53
resolvectl domain selftest0 '~vm'
resolvectl default-route selftest0 false
resolvectl domain selftest0
resolvectl query --legend=no $(hostname)`)
	if !strings.Contains(out, "~vm") || !strings.Contains(out, "test-host") {
		t.Error(out)
	}
}
