package assign

import (
	"encoding/binary"
	"math"
	"net/netip"

	"github.com/banger-vm/banger/internal/network/user/frames"
)

// The ports of DHCP.
const (
	portServer = 67
	portClient = 68
)

// The parts of a message that are used, by their offset.
const (
	atOp      = 0
	atType    = 1
	atLength  = 2
	atFlags   = 10
	atYour    = 16
	atCard    = 28
	atMagic   = 236
	atOptions = 240
)

const (
	magic      = 0x63825363
	minMessage = 300 // bytes; some clients want that much
)

// The kinds of messages, and the options that are used.
const (
	discover = 1
	offer    = 2
	request  = 3
	ack      = 5
	nak      = 6
	inform   = 8

	optionMask      = 1
	optionRouter    = 3
	optionDNS       = 6
	optionRequested = 50
	optionLease     = 51
	optionKind      = 53
	optionServer    = 54
	optionPad       = 0
	optionEnd       = 255
)

// DHCP answers a client's message: ours says whether p is one at all, reply is
// nil where there is no answer. Only the card of the VM has an address to get.
func DHCP(p frames.Packet, card frames.MAC) (reply []byte, ours bool) {
	_, to, msg, ok := p.UDP()
	if !ok || to != portServer || !p.Dst.Is4() {
		return nil, false
	}
	if len(msg) < atOptions || msg[atOp] != 1 || msg[atType] != 1 || msg[atLength] != 6 ||
		binary.BigEndian.Uint32(msg[atMagic:]) != magic || frames.MAC(msg[atCard:atCard+6]) != card {
		return nil, true
	}
	options := parseOptions(msg[atOptions:])
	kind := answerTo(options, netip.AddrFrom4([4]byte(msg[12:16])))
	if kind == 0 {
		return nil, true
	}
	ends := frames.Ends{From: GatewayMAC, To: card, Src: Gateway, Dst: netip.AddrFrom4([4]byte{255, 255, 255, 255})}
	if binary.BigEndian.Uint16(msg[atFlags:])&0x8000 != 0 {
		ends.To = frames.Broadcast
	}
	return ends.UDP(portServer, portClient, answer(msg, kind, options)), true
}

// parseOptions returns the options that fit into what there is.
func parseOptions(b []byte) map[byte][]byte {
	options := map[byte][]byte{}
	for len(b) > 0 && b[0] != optionEnd {
		if b[0] == optionPad {
			b = b[1:]
			continue
		}
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			break
		}
		options[b[0]] = b[2 : 2+int(b[1])]
		b = b[2+int(b[1]):]
	}
	return options
}

// answerTo is the kind of the answer, 0 for none; has is the address that the
// client says to have.
func answerTo(options map[byte][]byte, has netip.Addr) byte {
	kind := options[optionKind]
	if len(kind) != 1 {
		return 0
	}
	if server, ok := options[optionServer]; ok && string(server) != string(Gateway.AsSlice()) {
		return 0 // it has chosen somebody else
	}
	switch kind[0] {
	case discover:
		return offer
	case inform:
		return ack
	case request:
		if want, ok := options[optionRequested]; ok {
			if has, ok = netip.AddrFromSlice(want); !ok {
				return 0
			}
		}
		if has != Guest {
			return nak
		}
		return ack
	}
	return 0
}

func answer(msg []byte, kind byte, options map[byte][]byte) []byte {
	b := make([]byte, atOptions, minMessage)
	copy(b, msg[:8]) // the kind of the card, and which exchange it is
	b[atOp], b[3] = 2, 0
	copy(b[atFlags:], msg[atFlags:atFlags+2])
	copy(b[atCard:], msg[atCard:atCard+16])
	binary.BigEndian.PutUint32(b[atMagic:], magic)
	put := func(option byte, value ...byte) { b = append(append(b, option, byte(len(value))), value...) }
	put(optionKind, kind)
	put(optionServer, Gateway.AsSlice()...)
	if kind != nak {
		put(optionMask, 255, 255, 255, 0)
		put(optionRouter, Gateway.AsSlice()...)
		put(optionDNS, Gateway.AsSlice()...)
		if options[optionKind][0] != inform {
			copy(b[atYour:], Guest.AsSlice())
			put(optionLease, binary.BigEndian.AppendUint32(nil, math.MaxUint32)...) // for ever
		}
	}
	b = append(b, optionEnd)
	return b[:max(len(b), minMessage)]
}
