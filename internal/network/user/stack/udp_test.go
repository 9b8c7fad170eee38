package stack

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/network/user/assign"
	"github.com/banger-vm/banger/internal/network/user/frames"
	"github.com/banger-vm/banger/internal/network/user/policy"
)

// answering makes a service of datagrams on this host's loopback.
func answering(t testing.TB, address string, answer func([]byte) []byte) net.Addr {
	t.Helper()
	c, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			if back := answer(buf[:n]); back != nil {
				_, _ = c.WriteTo(back, from)
			}
		}
	}()
	return c.LocalAddr()
}

func same(b []byte) []byte { return b }

func TestUDP(t *testing.T) {
	r := newRig(t, policy.Policy{Allow: allowed(t, "127.0.0.1", "::1")}, "")
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		c := r.udp(t, viaGateway(answering(t, address, same)))
		for _, size := range []int{0, 1, 1200, 8000} { // the last one in several packets
			if _, err := c.Write(make([]byte, size)); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 1<<16)
			if n, err := c.Read(buf); err != nil || n != size {
				t.Errorf("%s: %d of %d bytes came back, %v", address, n, size, err)
			}
		}
	}
}

// Who sends where nobody listens is told so.
func TestUDPWithoutAListener(t *testing.T) {
	r := newRig(t, policy.Policy{Allow: allowed(t, "127.0.0.1")}, "")
	gone, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := viaGateway(gone.LocalAddr())
	gone.Close()
	c := r.udp(t, at)
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	awaitFrame(t, r, "a message that nobody listens", noPort)
}

// noPort is a message that nobody listens.
func noPort(p frames.Packet) bool {
	typ, _, ok := p.ICMP()
	return ok && typ == 3 && p.Payload[1] == 3
}

// What is refused is refused with a message that says who does, and counted.
func TestRefusals(t *testing.T) {
	r := newRig(t, policy.Policy{}, "")
	for dst, why := range map[string]string{
		"10.1.2.3:80": "10.0.0.0/8", "127.0.0.2:81": "127.0.0.0/8", "169.254.169.254:80": "169.254.0.0/16",
		"10.0.2.2:82": "127.0.0.0/8", "[fd62:616e:6765:72::2]:83": "::1/128", "[fd00::1]:80": "fc00::/7", "[64:ff9b::10.0.0.1]:80": "10.0.0.0/8, as IPv6",
	} {
		before := count(r, why)
		begin := time.Now()
		if !strings.Contains(dst, "127.0.0.2") { // a guest's own stack keeps that in
			if _, err := r.dial(t, dst); err == nil || !strings.Contains(err.Error(), "refused") {
				t.Errorf("tcp %s: %v", dst, err)
			}
			if took := time.Since(begin); took > 3*time.Second {
				t.Errorf("tcp %s: refused after %s", dst, took)
			}
			if got := count(r, why); got != before+1 {
				t.Errorf("tcp %s: %s was counted %d times", dst, why, got-before)
			}
			c := r.udp(t, dst)
			if _, err := c.Write([]byte("x")); err != nil {
				t.Errorf("udp %s: %v", dst, err)
			}
			awaitFrame(t, r, "a message that "+dst+" is prohibited", func(p frames.Packet) bool {
				typ, body, ok := p.ICMP()
				quoted := netip.MustParseAddrPort(dst).Addr()
				if !ok || p.Src.Is6() != quoted.Is6() || typ != 1 && typ != 3 {
					return false
				}
				at, code := body[4+16:4+20], byte(13)
				if quoted.Is6() {
					at, code = body[4+24:4+40], 1
				}
				return p.Payload[1] == code && string(at) == string(quoted.AsSlice())
			})
		}
	}
	report, _ := r.Report()
	if len(report.Last) != maxAttempts {
		t.Errorf("the last ones are %+v", report.Last)
	}
}

func count(r *rig, why string) uint64 {
	report, _ := r.Report()
	for _, c := range report.Refused {
		if c.Why == why {
			return c.Count
		}
	}
	return 0
}

// awaitFrame waits for a frame that the guest is sent.
func awaitFrame(t testing.TB, r *rig, what string, ok func(frames.Packet) bool) {
	t.Helper()
	late := time.After(5 * time.Second)
	for {
		select {
		case b := <-r.frame:
			if p, whole := frames.Parse(b); whole && ok(p) {
				return
			}
		case <-late:
			t.Errorf("the guest does not get %s", what)
			return
		}
	}
}

// A guest's ways for datagrams are bounded.
func TestFlowsAreBounded(t *testing.T) {
	r := newRig(t, policy.Policy{Allow: allowed(t, "127.0.0.1")}, "")
	r.flows = newLimit(4)
	at := viaGateway(answering(t, "127.0.0.1:0", same))
	for range 4 {
		c := r.udp(t, at)
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	c := r.udp(t, at)
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	awaitFrame(t, r, "a message that one more is too many", noPort)
	if count(r, string(tooMany)) != 1 {
		t.Error("it is not counted")
	}
}

// dnsMessage is a query for nothing in particular.
func dnsMessage(id uint16) []byte {
	return append(binary.BigEndian.AppendUint16(nil, id), 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 0, 1, 0, 1)
}

// A failed query is told to have failed, with its ID, so that nobody waits.
func TestFailedQuery(t *testing.T) {
	q := dnsMessage(7)
	a := failed(append([]byte(nil), q...))
	if len(a) != len(q) || a[0] != 0 || a[1] != 7 || a[2]&0x80 == 0 || a[3]&0xf != 2 {
		t.Errorf("%x", a)
	}
	if failed(a) != nil || failed([]byte("short")) != nil {
		t.Error("an answer is answered")
	}
}

// The gateway answers pings to itself, and no others for those that it does not
// reach.
func TestPing(t *testing.T) {
	r := newRig(t, policy.Policy{}, "")
	ping := func(dst netip.Addr) {
		src, typ := assign.Guest, uint8(typeEcho4)
		if dst.Is6() {
			src, typ = netip.MustParseAddr("fd62:616e:6765:72::15"), typeEcho6
		}
		f := frames.Ends{From: card, To: assign.GatewayMAC, Src: src, Dst: dst}.ICMP(typ, 0, []byte{0, 7, 0, 1, 'h', 'i'})
		if r.admit(f) {
			r.port.deliver(f)
		}
	}
	for _, dst := range []netip.Addr{assign.Gateway, assign.Gateway6} {
		ping(dst)
		awaitFrame(t, r, "a reply of "+dst.String(), func(p frames.Packet) bool {
			typ, body, ok := p.ICMP()
			return ok && p.Src == dst && (typ == typeReply4 && dst.Is4() || typ == typeReply6 && dst.Is6()) && string(body[:6]) == "\x00\x07\x00\x01hi"
		})
	}
	for _, dst := range []string{"10.9.9.9", "fd00::9"} {
		ping(netip.MustParseAddr(dst))
		awaitFrame(t, r, "a refusal of "+dst, func(p frames.Packet) bool {
			typ, _, ok := p.ICMP()
			return ok && (typ == 3 || typ == 1)
		})
	}
	if count(r, "10.0.0.0/8") != 1 || count(r, "fc00::/7") != 1 {
		t.Error("they are not counted")
	}
}
