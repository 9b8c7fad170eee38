package stack

import (
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/network/user/assign"
)

// port is the stack's end of the wire. Without a wire it loses what is sent,
// as a port without a cable does.
type port struct {
	dispatcher atomic.Pointer[stack.NetworkDispatcher]
	wire       atomic.Pointer[wire]
}

// wire is a link in use.
type wire struct {
	mtu  uint32
	out  chan *slot
	quit chan struct{} // closed to end the pump
	done chan struct{} // closed by the pump: nothing is sent any more
}

func newWire(mtu int) *wire {
	return &wire{mtu: uint32(min(mtu, network.MaxMTU)), out: make(chan *slot, outQueue), quit: make(chan struct{}), done: make(chan struct{})}
}

// slot is a frame on its way out.
type slot struct {
	n int
	b [network.MaxMTU + header.EthernetMinimumSize]byte
}

var slots = sync.Pool{New: func() any { return new(slot) }}

// outQueue is how many frames wait for the wire before who sends has to: 2 MB
// of the largest.
const outQueue = 64

var (
	_ stack.LinkEndpoint = (*port)(nil)
	_ stack.GSOEndpoint  = (*port)(nil)
)

// WritePackets sends packets, and waits while the guest takes none.
func (p *port) WritePackets(list stack.PacketBufferList) (int, tcpip.Error) {
	sent := 0
	for _, pkt := range list.AsSlice() {
		s := slots.Get().(*slot)
		s.n = 0
		for _, part := range pkt.AsSlices() {
			s.n += copy(s.b[s.n:], part)
		}
		p.send(s)
		sent++
	}
	return sent, nil
}

// frame sends a frame that is made already.
func (p *port) frame(b []byte) {
	s := slots.Get().(*slot)
	s.n = copy(s.b[:], b)
	p.send(s)
}

func (p *port) send(s *slot) {
	w := p.wire.Load()
	if w == nil {
		slots.Put(s)
		return
	}
	select {
	case w.out <- s:
	case <-w.done:
		slots.Put(s)
	}
}

// deliver hands a frame of the guest's to the stack.
func (p *port) deliver(frame []byte) {
	d := p.dispatcher.Load()
	if d == nil {
		return
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(frame)})
	defer pkt.DecRef()
	(*d).DeliverNetworkPacket(0, pkt) // what it is, its header tells
}

// maxBatch is how many frames are sent at once.
const maxBatch = 64

// pump sends what is queued, as much at once as there is, until it fails.
func (w *wire) pump(link network.Link) error {
	defer close(w.done)
	var held []*slot
	var frames [][]byte
	for {
		held, frames = held[:0], frames[:0]
		select {
		case s := <-w.out:
			held = append(held, s)
		case <-w.quit:
			return nil
		}
		held = w.more(held)
		for _, s := range held {
			frames = append(frames, s.b[:s.n])
		}
		err := link.WriteFrames(frames)
		for _, s := range held {
			slots.Put(s)
		}
		if err != nil {
			return err
		}
	}
}

// more adds what is queued already.
func (w *wire) more(held []*slot) []*slot {
	for len(held) < maxBatch {
		select {
		case s := <-w.out:
			held = append(held, s)
		default:
			return held
		}
	}
	return held
}

// The rest is what a stack asks of its card.

// usualMTU is Ethernet's.
const usualMTU = 1500

// MTU is the wire's, without the header of package ethernet.
func (p *port) MTU() uint32 {
	if w := p.wire.Load(); w != nil {
		return w.mtu
	}
	return usualMTU
}

// SetMTU changes nothing.
func (p *port) SetMTU(uint32) {}

// MaxHeaderLength is nothing: package ethernet adds its own.
func (p *port) MaxHeaderLength() uint16 { return 0 }

// LinkAddress is the gateway's.
func (p *port) LinkAddress() tcpip.LinkAddress { return tcpip.LinkAddress(assign.GatewayMAC[:]) }

// SetLinkAddress changes nothing.
func (p *port) SetLinkAddress(tcpip.LinkAddress) {}

// Capabilities: nothing on a wire within one computer is damaged, and a guest
// may leave its checksums to its card.
func (p *port) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityRXChecksumOffload
}

// GSOMaxSize lets TCP send much at once; the stack cuts it, into whole frames.
func (p *port) GSOMaxSize() uint32 {
	mtu := p.MTU()
	segment := mtu - header.IPv6MinimumSize - header.TCPMinimumSize - header.TCPOptionTSLength - 2
	return stack.GVisorGSOMaxSize/mtu*segment + header.TCPTotalHeaderMaximumSize + 1 // which TCP takes off
}

// SupportedGSO is the stack's own.
func (p *port) SupportedGSO() stack.SupportedGSO { return stack.GVisorGSOSupported }

// Attach is told who takes what comes.
func (p *port) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		p.dispatcher.Store(nil)
		return
	}
	p.dispatcher.Store(&d)
}

// IsAttached reports whether anybody does.
func (p *port) IsAttached() bool { return p.dispatcher.Load() != nil }

// Wait has nothing to wait for.
func (p *port) Wait() {}

// ARPHardwareType is package ethernet's.
func (p *port) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }

// AddHeader is package ethernet's.
func (p *port) AddHeader(*stack.PacketBuffer) {}

// ParseHeader is package ethernet's.
func (p *port) ParseHeader(*stack.PacketBuffer) bool { return true }

// Close has nothing to close.
func (p *port) Close() {}

// SetOnCloseAction has nothing to do.
func (p *port) SetOnCloseAction(func()) {}
