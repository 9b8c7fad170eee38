package assign

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/banger-vm/banger/internal/network/user/frames"
)

var card = frames.MAC{0x52, 0, 0, 0, 0, 1}

// ask is a client's message as a frame.
func ask(from frames.MAC, has netip.Addr, options ...byte) []byte {
	msg := make([]byte, atOptions)
	msg[atOp], msg[atType], msg[atLength] = 1, 1, 6
	copy(msg[4:], "\x01\x02\x03\x04")
	copy(msg[12:], has.AsSlice())
	copy(msg[atCard:], from[:])
	binary.BigEndian.PutUint32(msg[atMagic:], magic)
	msg = append(append(msg, options...), optionEnd)
	return frames.Ends{From: from, To: frames.Broadcast, Src: has, Dst: netip.MustParseAddr("255.255.255.255")}.UDP(portClient, portServer, msg)
}

func answered(t *testing.T, frame []byte) (msg []byte, options map[byte][]byte) {
	t.Helper()
	p, ok := frames.Parse(frame)
	if !ok {
		t.Fatal("it is no packet")
	}
	reply, ours := DHCP(p, card)
	if !ours {
		t.Fatal("it is not taken for DHCP")
	}
	if reply == nil {
		return nil, nil
	}
	back, ok := frames.Parse(reply)
	src, dst, msg, whole := back.UDP()
	if !ok || !whole || src != portServer || dst != portClient || back.Src != Gateway || back.To != card {
		t.Fatalf("the answer is %+v", back)
	}
	return msg, parseOptions(msg[atOptions:])
}

func TestDHCP(t *testing.T) {
	none := netip.MustParseAddr("0.0.0.0")
	guest := Guest.AsSlice()
	for name, c := range map[string]struct {
		frame []byte
		kind  byte
		your  netip.Addr
	}{
		"discover":          {ask(card, none, optionKind, 1, discover), offer, Guest},
		"request":           {ask(card, none, append([]byte{optionKind, 1, request, optionServer, 4, 10, 0, 2, 2, optionRequested, 4}, guest...)...), ack, Guest},
		"renewal":           {ask(card, Guest, optionKind, 1, request), ack, Guest},
		"another address":   {ask(card, none, optionKind, 1, request, optionRequested, 4, 192, 168, 1, 5), nak, none},
		"none":              {ask(card, none, optionKind, 1, request), nak, none},
		"another server":    {ask(card, none, optionKind, 1, request, optionServer, 4, 10, 0, 2, 9), 0, none},
		"inform":            {ask(card, Guest, optionKind, 1, inform), ack, none},
		"another card":      {ask(frames.MAC{2, 2, 2, 2, 2, 2}, none, optionKind, 1, discover), 0, none},
		"no kind":           {ask(card, none), 0, none},
		"a kind too long":   {ask(card, none, optionKind, 2, discover, 0), 0, none},
		"an address cut":    {ask(card, none, optionKind, 1, request, optionRequested, 3, 10, 0, 2), 0, none},
		"options cut":       {ask(card, none, optionKind, 1, discover, optionRequested, 200), offer, Guest},
		"a release":         {ask(card, Guest, optionKind, 1, 7), 0, none},
		"padding before it": {ask(card, none, 0, 0, 0, optionKind, 1, discover), offer, Guest},
	} {
		t.Run(name, func(t *testing.T) {
			msg, options := answered(t, c.frame)
			if c.kind == 0 {
				if msg != nil {
					t.Errorf("it is answered with %v", options)
				}
				return
			}
			if msg == nil || !bytes.Equal(options[optionKind], []byte{c.kind}) || netip.AddrFrom4([4]byte(msg[atYour:atYour+4])) != c.your ||
				string(msg[4:8]) != "\x01\x02\x03\x04" || msg[atOp] != 2 {
				t.Fatalf("the answer is %x, %v", msg, options)
			}
			if c.kind == nak {
				return
			}
			if !bytes.Equal(options[optionRouter], Gateway.AsSlice()) || !bytes.Equal(options[optionDNS], Gateway.AsSlice()) || !bytes.Equal(options[optionMask], []byte{255, 255, 255, 0}) {
				t.Errorf("the answer has %v", options)
			}
			if lease := options[optionLease]; c.your == Guest && !bytes.Equal(lease, []byte{255, 255, 255, 255}) {
				t.Errorf("the lease is %v", lease)
			}
		})
	}
}

func TestAdvertisement(t *testing.T) {
	p, ok := frames.Parse(Advertisement())
	typ, body, whole := p.ICMP()
	if !ok || !whole || typ != typeAdvertise || p.Src != GatewayLocal || p.IP[7] != 255 || len(body) != 12+8+32+24 {
		t.Fatalf("%+v", p)
	}
	if !bytes.Contains(body, Net6.Addr().AsSlice()) || !bytes.Contains(body, Gateway6.AsSlice()) || !bytes.Contains(body, GatewayMAC[:]) {
		t.Errorf("%x", body)
	}
	solicit := frames.Ends{From: card, To: frames.MAC{0x33, 0x33, 0, 0, 0, 2}, Src: netip.MustParseAddr("fe80::1"), Dst: netip.MustParseAddr("ff02::2")}.ICMP(typeSolicit, 0, make([]byte, 4))
	if p, ok := frames.Parse(solicit); !ok || !Solicits(p) {
		t.Error("a solicitation is none")
	}
	if Solicits(p) {
		t.Error("an advertisement is a solicitation")
	}
}

// Whatever a guest sends, its own parts are all that is answered.
func FuzzDHCP(f *testing.F) {
	f.Add(ask(card, Guest, optionKind, 1, request))
	f.Add(ask(card, Guest, optionKind, 1, discover, optionRequested, 200))
	f.Fuzz(func(t *testing.T, frame []byte) {
		p, ok := frames.Parse(frame)
		if !ok {
			return
		}
		reply, _ := DHCP(p, card)
		if reply == nil {
			return
		}
		if back, ok := frames.Parse(reply); !ok || back.Src != Gateway {
			t.Errorf("%x is answered with %x", frame, reply)
		}
	})
}
