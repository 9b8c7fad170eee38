package frames

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

var (
	ends4 = Ends{From: MAC{2, 0, 0, 0, 0, 1}, To: MAC{2, 0, 0, 0, 0, 2}, Src: netip.MustParseAddr("10.0.2.15"), Dst: netip.MustParseAddr("192.0.2.1")}
	ends6 = Ends{From: ends4.From, To: ends4.To, Src: netip.MustParseAddr("fd00::1"), Dst: netip.MustParseAddr("2001:db8::1")}
)

// What is made is read as it was made, and its checksums are right.
func TestMadeIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := rapid.SampledFrom([]Ends{ends4, ends6}).Draw(t, "ends")
		data := rapid.SliceOfN(rapid.Byte(), 0, 1400).Draw(t, "data")
		frame := e.UDP(68, 67, data)
		p, ok := Parse(frame)
		src, dst, got, whole := p.UDP()
		if !ok || !whole || src != 68 || dst != 67 || !bytes.Equal(got, data) || p.Src != e.Src || p.Dst != e.Dst || p.From != e.From || p.To != e.To {
			t.Fatalf("%+v", p)
		}
		if sum := e.checksum(ProtoUDP, p.Payload); sum != 0 {
			t.Errorf("the checksum of UDP is off by %x", sum)
		}
		if e.Src.Is4() {
			if sum := ^fold(add(0, p.IP[:lenIPv4])); sum != 0 {
				t.Errorf("the checksum of IPv4 is off by %x", sum)
			}
		}
		if _, ok := Parse(append(frame, 0, 0, 0)); !ok {
			t.Error("padding is refused")
		}
	})
}

// An error message goes back to who sent, and quotes what it sent.
func TestUnreachable(t *testing.T) {
	for _, e := range []Ends{ends4, ends6} {
		p, _ := Parse(e.UDP(1, 2, make([]byte, 1400)))
		back, ok := Parse(p.Quote().Prohibited())
		typ, body, whole := back.ICMP()
		if !ok || !whole || back.Src != e.Dst || back.Dst != e.Src || back.To != e.From || len(body) != 4+maxQuoted || !bytes.Equal(body[4:], p.IP[:maxQuoted]) {
			t.Errorf("%+v", back)
		}
		if code := back.Payload[1]; e.Src.Is4() && (typ != 3 || code != 13) || e.Src.Is6() && (typ != 1 || code != 1) {
			t.Errorf("%d, %d", typ, code)
		}
	}
}

func TestRefusedFrames(t *testing.T) {
	good := ends4.UDP(1, 2, []byte("data"))
	for name, change := range map[string]func([]byte) []byte{
		"nothing":           func([]byte) []byte { return nil },
		"a header":          func(b []byte) []byte { return b[:14] },
		"sent by a group":   func(b []byte) []byte { b[6] |= 1; return b },
		"another type":      func(b []byte) []byte { b[12] = 9; return b },
		"options":           func(b []byte) []byte { b[14] = 0x46; return b },
		"another version":   func(b []byte) []byte { b[14] = 0x65; return b },
		"longer than it is": func(b []byte) []byte { binary.BigEndian.PutUint16(b[16:], 1500); return b },
		"shorter than IP":   func(b []byte) []byte { binary.BigEndian.PutUint16(b[16:], 19); return b },
	} {
		if _, ok := Parse(change(bytes.Clone(good))); ok {
			t.Errorf("%s: it is read", name)
		}
	}
	six := ends6.UDP(1, 2, []byte("data"))
	six[14+6] = 0 // hop-by-hop options
	if _, ok := Parse(six); ok {
		t.Error("extension headers are read")
	}
	arp := append(append(MAC{2}.bytes(), 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9), make([]byte, 16)...)
	if _, ok := Parse(arp); ok {
		t.Error("ARP in somebody else's name is read")
	}
}

func (m MAC) bytes() []byte { return m[:] }

// FuzzParse wants nothing but that what is read is within the frame.
func FuzzParse(f *testing.F) {
	f.Add(ends4.UDP(1, 2, []byte("data")))
	f.Add(ends6.UDP(1, 2, []byte("data")))
	f.Add(ends6.ICMP(128, 0, []byte("0000data")))
	f.Fuzz(func(t *testing.T, frame []byte) {
		p, ok := Parse(frame)
		if !ok {
			return
		}
		_, _, _, _ = p.UDP()
		_, _, _ = p.ICMP()
		if len(p.IP) > len(frame) || len(p.Payload) > len(p.IP) {
			t.Errorf("%+v of %x", p, frame)
		}
		if p.Type != TypeARP {
			if back, ok := Parse(p.Quote().NoPort()); !ok || back.Dst != p.Src {
				t.Errorf("%x is answered with %+v", frame, back)
			}
		}
	})
}
