package stack

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/link/ethernet"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/network/user/assign"
	"github.com/banger-vm/banger/internal/network/user/frames"
	"github.com/banger-vm/banger/internal/network/user/policy"
	"github.com/banger-vm/banger/internal/network/user/resolver"
)

var card = frames.MAC{0x52, 0, 0, 0, 0, 1}

// cable is a link whose ends are both here.
type cable struct {
	mtu      int
	to, from chan []byte // as the gateway sees it
	end      chan struct{}
	once     sync.Once
}

func newCable() *cable {
	return &cable{mtu: usualMTU, to: make(chan []byte, 1024), from: make(chan []byte, 1024), end: make(chan struct{})}
}

func (c *cable) ReadFrame(buf []byte) (int, error) {
	select {
	case b := <-c.from:
		return copy(buf, b), nil
	case <-c.end:
		return 0, io.EOF
	}
}

func (c *cable) WriteFrames(frames [][]byte) error {
	for _, f := range frames {
		select {
		case c.to <- append([]byte(nil), f...):
		case <-c.end:
			return io.ErrClosedPipe
		}
	}
	return nil
}

func (c *cable) MTU() int { return c.mtu }

func (c *cable) Close() error {
	c.once.Do(func() { close(c.end) })
	return nil
}

// rig is a network with a guest that is a stack too.
type rig struct {
	*Stack
	guest *stack.Stack
	wire  *channel.Endpoint
	frame chan []byte // all that the guest is sent, as long as somebody reads
}

// allowed makes exceptions.
func allowed(t testing.TB, texts ...string) []network.Exception {
	t.Helper()
	list, err := network.ParseExceptions(texts)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func newStack(t testing.TB, p policy.Policy, resolvConf string) *Stack {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	path := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(path, []byte(resolvConf), 0o600); err != nil {
		t.Fatal(err)
	}
	if p.Own == nil {
		p.Own = policy.OwnAddresses(log)
	}
	s, err := New(log, Config{Card: card, Policy: p, Resolver: resolver.New(path, log)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// carry plugs a link in until the returned function is called.
func carry(t testing.TB, s *Stack, link network.Link) (unplug func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Carry(ctx, link) }()
	for s.port.wire.Load() == nil { // what is sent before is lost, as it should
		time.Sleep(time.Millisecond)
	}
	unplug = sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("Carry ended with %v", err)
		}
	})
	t.Cleanup(unplug)
	return unplug
}

// newRig makes a guest with the addresses that guests get.
func newRig(t testing.TB, p policy.Policy, resolvConf string) *rig {
	t.Helper()
	return newRigOn(t, newCable(), p, resolvConf)
}

func newRigOn(t testing.TB, c *cable, p policy.Policy, resolvConf string) *rig {
	t.Helper()
	r := &rig{Stack: newStack(t, p, resolvConf), frame: make(chan []byte, 64)}
	carry(t, r.Stack, c)
	r.plugGuest(t, c)
	return r
}

func (r *rig) plugGuest(t testing.TB, c *cable) {
	t.Helper()
	r.guest = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6},
	})
	r.wire = channel.New(1024, uint32(c.mtu), tcpip.LinkAddress(card[:]))
	must := func(err tcpip.Error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(r.guest.CreateNIC(nic, ethernet.New(r.wire)))
	for addr, bits := range map[netip.Addr]int{assign.Guest: 24, netip.MustParseAddr("fd62:616e:6765:72::15"): 64} {
		must(r.guest.AddProtocolAddress(nic, tcpip.ProtocolAddress{
			Protocol: protocolOf(addr), AddressWithPrefix: tcpip.AddressWithPrefix{Address: tcpip.AddrFromSlice(addr.AsSlice()), PrefixLen: bits},
		}, stack.AddressProperties{}))
	}
	r.guest.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, Gateway: tcpip.AddrFromSlice(assign.Gateway.AsSlice()), NIC: nic},
		{Destination: header.IPv6EmptySubnet, Gateway: tcpip.AddrFromSlice(assign.GatewayLocal.AsSlice()), NIC: nic},
	})
	go func() {
		for {
			select {
			case b := <-c.to:
				pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: bufferOf(b)})
				r.wire.InjectInbound(0, pkt)
				pkt.DecRef()
				select {
				case r.frame <- b:
				default:
				}
			case <-c.end:
				return
			}
		}
	}()
	go func() {
		ctx, cancel := context.WithCancel(context.Background())
		go func() { <-c.end; cancel() }()
		for {
			pkt := r.wire.ReadContext(ctx)
			if pkt == nil {
				return
			}
			select {
			case c.from <- pkt.ToView().AsSlice():
			case <-c.end:
			}
			pkt.DecRef()
		}
	}()
	t.Cleanup(func() { c.Close(); r.guest.Close() })
}

// dial connects from the guest.
func (r *rig) dial(t testing.TB, to string) (*gonet.TCPConn, error) {
	t.Helper()
	at := netip.MustParseAddrPort(to)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return gonet.DialContextTCP(ctx, r.guest, full(at), protocolOf(at.Addr()))
}

func (r *rig) mustDial(t testing.TB, to string) *gonet.TCPConn {
	t.Helper()
	c, err := r.dial(t, to)
	if err != nil {
		t.Fatalf("connecting to %s: %v", to, err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// udp makes a socket of the guest's that is connected.
func (r *rig) udp(t testing.TB, to string) *gonet.UDPConn {
	t.Helper()
	at := netip.MustParseAddrPort(to)
	remote := full(at)
	c, err := gonet.DialUDP(r.guest, nil, &remote, protocolOf(at.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

func full(at netip.AddrPort) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFromSlice(at.Addr().AsSlice()), Port: at.Port()}
}

// viaGateway is where a guest reaches a listener on this host's loopback.
func viaGateway(addr net.Addr) string {
	at := netip.MustParseAddrPort(addr.String())
	gateway := assign.Gateway
	if at.Addr().Is6() {
		gateway = assign.Gateway6
	}
	return netip.AddrPortFrom(gateway, at.Port()).String()
}

// endpoint connects from the guest and returns the bare endpoint.
func (r *rig) endpoint(t testing.TB, to string) tcpip.Endpoint {
	t.Helper()
	at := netip.MustParseAddrPort(to)
	var events waiter.Queue
	ep, terr := r.guest.NewEndpoint(tcp.ProtocolNumber, protocolOf(at.Addr()), &events)
	if terr != nil {
		t.Fatal(terr)
	}
	entry, ready := waiter.NewChannelEntry(waiter.WritableEvents)
	events.EventRegister(&entry)
	if terr := ep.Connect(full(at)); terr != nil {
		if _, ok := terr.(*tcpip.ErrConnectStarted); !ok {
			t.Fatal(terr)
		}
	}
	<-ready
	t.Cleanup(ep.Close)
	return ep
}
