// Package stack is a guest's way out: a TCP/IP stack that is the other end of
// each of its connections, and makes an ordinary one of this host's for it. No
// privilege is needed, and what a guest may reach is decided with each
// connection, on the very address that is connected to.
package stack

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"sync"

	glog "gvisor.dev/gvisor/pkg/log"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/ethernet"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/banger-vm/banger/internal/network/user/assign"
	"github.com/banger-vm/banger/internal/network/user/frames"
	"github.com/banger-vm/banger/internal/network/user/policy"
	"github.com/banger-vm/banger/internal/network/user/resolver"
)

// Config is what a stack must know.
type Config struct {
	Card     frames.MAC // the guest's
	Policy   policy.Policy
	Resolver *resolver.Resolver
}

// nic is the stack's one card.
const nic tcpip.NICID = 1

// Stack is the network of one guest. It implements network.Carrier.
type Stack struct {
	cfg    Config
	log    *slog.Logger
	ip     *stack.Stack
	port   *port
	ledger *ledger

	connections, flows, pings limit
	answers                   limit // DNS queries under way

	ctx    context.Context // of all that the guest has under way
	cancel context.CancelFunc
	work   sync.WaitGroup
}

// New makes the network of a guest.
func New(log *slog.Logger, cfg Config) (*Stack, error) {
	s := &Stack{
		cfg: cfg, log: log, port: &port{}, ledger: newLedger(),
		connections: newLimit(maxConnections), flows: newLimit(maxFlows), pings: newLimit(maxPings), answers: newLimit(maxAnswers),
	}
	hush()
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.ip = stack.New(stack.Options{
		NetworkProtocols: []stack.NetworkProtocolFactory{
			ipv4.NewProtocol, arp.NewProtocol,
			// Nobody else is on the link, and no router but we.
			ipv6.NewProtocolWithOptions(ipv6.Options{NDPConfigs: ipv6.NDPConfigurations{HandleRAs: ipv6.HandlingRAsDisabled}}),
		},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	if err := s.configure(); err != nil {
		s.Close()
		return nil, fmt.Errorf("making the guest's network: %w", err)
	}
	return s, nil
}

// hush keeps the stack from writing to our standard error whatever a guest makes
// it wonder about.
var hush = sync.OnceFunc(func() { glog.SetTarget(glog.GoogleEmitter{Writer: &glog.Writer{Next: io.Discard}}) })

// configure gives the stack its card, which takes packets for whomever they are.
func (s *Stack) configure() error {
	if err := s.ip.CreateNIC(nic, ethernet.New(s.port)); err != nil {
		return problem(err)
	}
	for _, own := range []struct {
		addr netip.Addr
		bits int
	}{{assign.Gateway, assign.Net.Bits()}, {assign.Gateway6, assign.Net6.Bits()}, {assign.GatewayLocal, 64}} {
		err := s.ip.AddProtocolAddress(nic, tcpip.ProtocolAddress{
			Protocol:          protocolOf(own.addr),
			AddressWithPrefix: tcpip.AddressWithPrefix{Address: tcpip.AddrFromSlice(own.addr.AsSlice()), PrefixLen: own.bits},
		}, stack.AddressProperties{})
		if err != nil {
			return problem(err)
		}
	}
	if err := s.ip.SetPromiscuousMode(nic, true); err != nil {
		return problem(err)
	}
	if err := s.ip.SetSpoofing(nic, true); err != nil {
		return problem(err)
	}
	s.ip.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: nic},
		{Destination: header.IPv6EmptySubnet, NIC: nic},
	})
	if err := s.boundTCP(); err != nil {
		return err
	}
	s.ip.SetTransportProtocolHandler(tcp.ProtocolNumber, tcp.NewForwarder(s.ip, bufferBytes, maxHalfOpen, s.accept).HandlePacket)
	s.ip.SetTransportProtocolHandler(udp.ProtocolNumber, s.datagram)
	return nil
}

// Close ends all that the guest has under way.
func (s *Stack) Close() error {
	s.cancel()
	s.work.Wait()
	s.ip.Close()
	s.ip.Wait()
	return nil
}

// reach says where a guest's destination leads, which is not always itself: the
// gateway's address stands for this host's loopback. A reason keeps it from it.
func (s *Stack) reach(dst netip.AddrPort) (netip.AddrPort, policy.Why) {
	if assign.IsGateway(dst.Addr()) {
		loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if dst.Addr().Is6() {
			loopback = netip.IPv6Loopback()
		}
		dst = netip.AddrPortFrom(loopback, dst.Port())
	}
	return dst, s.cfg.Policy.Check(dst)
}

// asksDNS reports whether dst is where the gateway answers DNS.
func asksDNS(dst netip.AddrPort) bool { return assign.IsGateway(dst.Addr()) && dst.Port() == 53 }

func protocolOf(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Is4() {
		return ipv4.ProtocolNumber
	}
	return ipv6.ProtocolNumber
}

// address is one of the stack's as everybody else has it.
func address(a tcpip.Address) netip.Addr {
	addr, _ := netip.AddrFromSlice(a.AsSlice())
	return addr
}

// problem is an error of the stack's.
func problem(err tcpip.Error) error { return fmt.Errorf("the TCP/IP stack: %s", err) }
