package policy

import (
	"errors"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/banger-vm/banger/internal/network"
)

func own(addrs ...string) func() ([]netip.Addr, error) {
	var list []netip.Addr
	for _, a := range addrs {
		list = append(list, netip.MustParseAddr(a))
	}
	return func() ([]netip.Addr, error) { return list, nil }
}

func TestRange(t *testing.T) {
	for addr, want := range map[string]Why{
		"8.8.8.8": "", "1.1.1.1": "", "223.255.255.255": "", "11.0.0.0": "", "9.255.255.255": "",
		"192.0.2.1": "", "198.51.100.7": "", "203.0.113.80": "", "2001:db8::1": "", "2606:4700::1111": "",
		"0.0.0.0": "0.0.0.0/8", "0.1.2.3": "0.0.0.0/8",
		"10.0.0.0": "10.0.0.0/8", "10.255.255.255": "10.0.0.0/8",
		"100.63.255.255": "", "100.64.0.0": "100.64.0.0/10", "100.127.255.255": "100.64.0.0/10", "100.128.0.0": "",
		"127.0.0.1": "127.0.0.0/8", "127.255.255.254": "127.0.0.0/8",
		"169.254.169.254": "169.254.0.0/16", "169.253.255.255": "",
		"172.15.255.255": "", "172.16.0.1": "172.16.0.0/12", "172.31.255.255": "172.16.0.0/12", "172.32.0.0": "",
		"192.0.0.8":   "192.0.0.0/24",
		"192.168.0.1": "192.168.0.0/16", "192.167.255.255": "",
		"224.0.0.1": "224.0.0.0/4", "239.255.255.250": "224.0.0.0/4", "240.0.0.1": "240.0.0.0/4", "255.255.255.255": "255.255.255.255/32",
		"::": "::/128", "::1": "::1/128",
		"fc00::1": "fc00::/7", "fd00::2": "fc00::/7", "fdff:ffff::": "fc00::/7",
		"fe80::1": "fe80::/10", "febf::1": "fe80::/10", "fec0::1": "fec0::/10", "ff02::1": "ff00::/8",
		"::ffff:10.0.0.1": "10.0.0.0/8, as IPv6", "::ffff:127.0.0.1": "127.0.0.0/8, as IPv6", "::ffff:8.8.8.8": "",
		"::127.0.0.1": "127.0.0.0/8, as IPv6", "::ffff:0:192.168.1.1": "192.168.0.0/16, as IPv6",
		"64:ff9b::169.254.169.254": "169.254.0.0/16, as IPv6", "64:ff9b::8.8.8.8": "", "64:ff9b:1::8.8.8.8": "64:ff9b:1::/48",
		"2002:7f00:1::1": "127.0.0.0/8, as IPv6", "2002:a00:1::": "10.0.0.0/8, as IPv6", "2002:808:808::1": "",
		"2001:0:808:808:0:0:f5ff:fffe": "10.0.0.0/8, as IPv6", "2001:0:7f00:1::f7f7:f7f7": "127.0.0.0/8, as IPv6", "2001:0:808:808::f7f7:f7f7": "",
		"2001:db8::5efe:10.0.0.1": "10.0.0.0/8, as IPv6", "2001:db8::200:5efe:10.0.0.1": "10.0.0.0/8, as IPv6", "2001:db8::5efe:8.8.8.8": "",
		"4000::1": "no address of the Internet", "100::1": "no address of the Internet",
	} {
		if got := Range(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s is in %q, want %q", addr, got, want)
		}
	}
}

// Whatever form it has: an address that stands for a refused one is refused.
func TestEmbeddedIsRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rapid.SampledFrom(ranges4).Draw(t, "range")
		inner := r.Addr().As4()
		for i := range 32 {
			if i >= r.Bits() && rapid.Bool().Draw(t, "bit") {
				inner[i/8] |= 0x80 >> (i % 8)
			}
		}
		f := rapid.SampledFrom(forms).Draw(t, "form")
		outer := f.prefix.Addr().As16()
		for i, b := range inner {
			if f.invert {
				b = ^b
			}
			outer[f.at+i] = b
		}
		if addr := netip.AddrFrom16(outer); Range(addr) == "" {
			t.Fatalf("%s, which stands for %s, is not refused", addr, netip.AddrFrom4(inner))
		}
	})
}

func TestOwnAddresses(t *testing.T) {
	p := Policy{Own: own("192.0.2.2", "2001:db8::2")}
	for addr, want := range map[string]Why{
		"192.0.2.2": OwnAddress, "2001:db8::2": OwnAddress, "::ffff:192.0.2.2": OwnAddress, "64:ff9b::192.0.2.2": OwnAddress,
		"192.0.2.3": "", "2001:db8::3": "",
	} {
		if got := p.Check(netip.AddrPortFrom(netip.MustParseAddr(addr), 80)); got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
	p.Own = func() ([]netip.Addr, error) { return nil, errors.New("broken") }
	if got := p.Check(netip.MustParseAddrPort("8.8.8.8:53")); got != Unknown {
		t.Errorf("without knowing its own: %q", got)
	}
}

func TestExceptions(t *testing.T) {
	allow, err := network.ParseExceptions([]string{"10.1.0.0/16:5432", "127.0.0.1", "[fd00::1]:443", "192.0.2.2:80"})
	if err != nil {
		t.Fatal(err)
	}
	p := Policy{Allow: allow, Own: own("192.0.2.2")}
	for dst, refused := range map[string]bool{
		"10.1.2.3:5432": false, "10.1.2.3:5433": true, "10.2.0.0:5432": true, "127.0.0.1:9": false, "127.0.0.2:9": true,
		"[fd00::1]:443": false, "[fd00::1]:80": true, "192.0.2.2:80": false, "192.0.2.2:81": true,
		"[::ffff:10.1.2.3]:5432": true, // what was not asked for is not given
	} {
		if why := p.Check(netip.MustParseAddrPort(dst)); (why != "") != refused {
			t.Errorf("%s: %q", dst, why)
		}
	}
}
