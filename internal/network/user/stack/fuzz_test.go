package stack

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/network/user/assign"
	"github.com/banger-vm/banger/internal/network/user/frames"
	"github.com/banger-vm/banger/internal/network/user/policy"
)

var errUnknown = errors.New("not known")

// FuzzGuest hands the stack what a hostile guest may send: each input is cut
// into frames. Nothing is reached meanwhile, and an honest guest is served as
// before, whatever came.
func FuzzGuest(f *testing.F) {
	e := frames.Ends{From: card, To: assign.GatewayMAC, Src: assign.Guest, Dst: assign.Gateway}
	six := frames.Ends{From: card, To: assign.GatewayMAC, Src: netip.MustParseAddr("fd62:616e:6765:72::15"), Dst: assign.Gateway6}
	syn := e.UDP(1, 80, make([]byte, 20))
	syn[14+9] = frames.ProtoTCP
	syn[14+20+12], syn[14+20+13] = 0x50, 2
	for _, seed := range [][]byte{
		e.UDP(1, 53, dnsMessage(1)), e.UDP(68, 67, make([]byte, 300)), e.ICMP(8, 0, []byte("\x00\x01\x00\x01ping")),
		six.UDP(1, 53, dnsMessage(1)), six.ICMP(135, 0, make([]byte, 28)), six.ICMP(133, 0, make([]byte, 4)), syn,
	} {
		f.Add(append([]byte{byte(len(seed) >> 8), byte(len(seed))}, seed...))
	}
	// Where its own addresses are not known nothing is reached: no fuzzed packet
	// leaves this process.
	s := newStack(f, policy.Policy{Own: func() ([]netip.Addr, error) { return nil, errUnknown }}, "nameserver 127.0.0.1\n")
	c := newCable()
	carry(f, s, c)
	f.Fuzz(func(t *testing.T, data []byte) {
		for len(data) >= 2 {
			n := min(int(data[0])<<8|int(data[1]), len(data)-2)
			frame := data[2 : 2+n]
			data = data[2+n:]
			if p, ok := frames.Parse(frame); ok && assign.IsGateway(p.Dst) && p.Proto != frames.ProtoICMP && p.Proto != frames.ProtoICMPv6 {
				if _, to, _, ok := p.UDP(); ok && to == 53 {
					continue // it would ask this host's resolver
				}
			}
			select {
			case c.from <- append([]byte(nil), frame...):
			case <-time.After(10 * time.Second):
				t.Fatal("the stack takes no frames any more")
			}
		}
		drain(c)
		c.from <- e.ICMP(8, 0, []byte("\x12\x34\x00\x01honest"))
		honest(t, c)
	})
}

func drain(c *cable) {
	for {
		select {
		case <-c.to:
		default:
			return
		}
	}
}

// honest wants the reply to a ping; neighbours are asked for before.
func honest(t *testing.T, c *cable) {
	t.Helper()
	late := time.After(10 * time.Second)
	for {
		select {
		case b := <-c.to:
			p, ok := frames.Parse(b)
			if ok && p.Type == frames.TypeARP && p.Dst == assign.Guest {
				c.from <- arpReply()
				continue
			}
			if typ, body, whole := p.ICMP(); ok && whole && typ == typeReply4 && string(body[:4]) == "\x12\x34\x00\x01" {
				return
			}
		case <-late:
			t.Fatal("an honest guest is not served any more")
		}
	}
}

// arpReply says where the guest is.
func arpReply() []byte {
	b := append(append([]byte{}, assign.GatewayMAC[:]...), card[:]...)
	b = append(b, 8, 6, 0, 1, 8, 0, 6, 4, 0, 2)
	b = append(append(b, card[:]...), assign.Guest.AsSlice()...)
	return append(append(b, assign.GatewayMAC[:]...), assign.Gateway.AsSlice()...)
}

// Every frame of a guest's that is not whole is dropped, not taken for another.
func TestCutFrames(t *testing.T) {
	s := newStack(t, policy.Policy{}, "")
	c := newCable()
	carry(t, s, c)
	whole := frames.Ends{From: card, To: assign.GatewayMAC, Src: assign.Guest, Dst: assign.Gateway}.ICMP(8, 0, []byte("\x12\x34\x00\x01honest"))
	for n := range whole {
		c.from <- whole[:n]
	}
	c.from <- whole
	honest(t, c)
}
