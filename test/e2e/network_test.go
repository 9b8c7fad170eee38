package e2e

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/banger-vm/banger/api"
)

// A guest is on the Internet by itself, reaches what was allowed of this host
// and nothing else, and does not notice that its monitor is replaced.
func TestNetwork(t *testing.T) {
	notOnFake(t, noCard)
	e := common(t)
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	serve := func(network, address string) netip.AddrPort {
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				_, _ = io.Copy(w, r.Body) // the client compares
				return
			}
			_, _ = w.Write(body)
		})}
		go func() { _ = server.Serve(l) }() // until it is closed
		t.Cleanup(func() { server.Close() })
		return netip.MustParseAddrPort(l.Addr().String())
	}
	four, six := serve("tcp4", "127.0.0.1:0"), serve("tcp6", "[::1]:0")
	e.vm(t, "net-a", "--allow-host", four.String(), "--allow-host", six.String())
	v := e.inspect(t, "net-a")
	if len(v.Spec.AllowHosts) != 2 || v.Spec.AllowHosts[0] != four.String() || !strings.Contains(strings.Join(v.Reaches, " "), six.String()) {
		t.Errorf("inspect does not tell the exceptions: %q, %q", v.Spec.AllowHosts, v.Reaches)
	}
	guest := func(script string) result { return e.banger(t, "exec", "net-a", "--", "bash", "-c", script) }
	await(t, "the guest's addresses", func() bool {
		out := guest("ip -br addr show dev eth0; ip route; ip -6 route").stdout
		return strings.Contains(out, " 10.0.2.15/24 ") && strings.Contains(out, " fd62:616e:6765:72:") &&
			strings.Contains(out, "default via 10.0.2.2 ") && strings.Contains(out, "default via fe80::2 ")
	})
	fetch := map[string]string{
		"IPv4": "http://" + netip.AddrPortFrom(netip.MustParseAddr("10.0.2.2"), four.Port()).String(),
		"IPv6": "http://" + netip.AddrPortFrom(netip.MustParseAddr("fd62:616e:6765:72::2"), six.Port()).String(),
	}
	fetched := func(t *testing.T) {
		for name, url := range fetch {
			out := guest("curl -sS -m 60 -g " + url + " >/tmp/got && sha256sum </tmp/got && curl -sS -m 60 -g --data-binary @/tmp/got " + url + " | cmp - /tmp/got && echo same")
			if !strings.HasPrefix(out.stdout, digest(string(body))) || !strings.HasSuffix(out.stdout, "same\n") {
				t.Errorf("by %s: %s", name, out)
			}
		}
	}
	t.Run("what was allowed", fetched)
	t.Run("the Internet", func(t *testing.T) { onTheInternet(t, guest) })
	t.Run("what is refused", func(t *testing.T) { e.testRefused(t, guest, four) })
	t.Run("its monitor is killed", func(t *testing.T) {
		before := guest("ip -br addr show dev eth0; cat /run/systemd/netif/leases/*").stdout
		if err := syscall.Kill(e.inspect(t, "net-a").Boot.MonitorPID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		fetched(t)
		if after := guest("ip -br addr show dev eth0; cat /run/systemd/netif/leases/*").stdout; after != before || before == "" {
			t.Errorf("the guest's network is\n%s\nand was\n%s", after, before)
		}
	})
}

// onTheInternet wants the guest to work with the sources of its packages.
func onTheInternet(t *testing.T, guest func(string) result) {
	if os.Getenv("BANGER_TEST_HOST") == "1" {
		t.Skip("the test host has no uplink")
	}
	// The smallest of the image's own sources is as good as all of them.
	const script = `set -e
host=$(sed -n 's,.*http://\([^/]*\)/.*,\1,p' /etc/apt/sources.list | head -n 1)
getent hosts "$host"
grep -e -security /etc/apt/sources.list >/tmp/some.list || cp /etc/apt/sources.list /tmp/some.list
sudo apt-get -o Dir::Etc::SourceList=/tmp/some.list -o Acquire::Languages=none update`
	if r := guest(script); r.code != 0 || strings.Contains(r.stdout, "Err:") {
		t.Errorf("%s", r)
	}
}

// testRefused wants what is not the Internet's to be refused at once, and told.
func (e *env) testRefused(t *testing.T, guest func(string) result, allowed netip.AddrPort) {
	other := netip.AddrPortFrom(netip.MustParseAddr("10.0.2.2"), allowed.Port()+1).String()
	for _, at := range []string{"10.1.2.3:80", "169.254.169.254:80", other} {
		if r := guest("curl -sS -m 10 http://" + at + "/"); r.code != 7 { // 28 is out of time
			t.Errorf("%s: %s", at, r)
		}
	}
	// The second datagram is told of the first one's refusal.
	if r := guest("exec 3<>/dev/udp/192.168.7.7/99; echo a >&3; sleep 0.5; echo b >&3"); !strings.Contains(r.stderr, "No route to host") {
		t.Errorf("a datagram: %s", r)
	}
	want := []string{"10.0.0.0/8", "169.254.0.0/16", "127.0.0.0/8", "192.168.0.0/16"}
	await(t, "the refusals to be told", func() bool {
		v := e.inspect(t, "net-a")
		if v.Refused == nil {
			return false
		}
		for _, why := range want {
			if !has(*v.Refused, why) {
				return false
			}
		}
		return len(v.Refused.Last) >= len(want)
	})
	if out := e.ok(t, "inspect", "net-a"); !strings.Contains(out, "udp 192.168.7.7:99") {
		t.Errorf("inspect: %s", out)
	}
}

func has(r api.VMRefused, why string) bool {
	for _, c := range r.Counts {
		if c.Why == why && c.Count > 0 {
			return true
		}
	}
	return false
}
