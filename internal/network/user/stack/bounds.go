package stack

import (
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// What a guest may have at once.
const (
	maxConnections = 4096
	maxHalfOpen    = 512 // connections that are being made, on either side
	maxFlows       = 1024
	maxPings       = 64
	maxAnswers     = 256
)

// The buffers of a connection towards the guest, each way, in bytes. From the
// crowd-th connection on one gets less, so that all of a hostile guest's
// together take 300 MB at most.
const (
	bufferBytes    = 256 << 10
	maxBufferBytes = 512 << 10
	crowd          = 128
	crowdedBytes   = 16 << 10
)

// How long things last.
const (
	dialPatience = 20 * time.Second
	// A connection of which a guest says nothing for so long is asked about.
	keepAlive = 5 * time.Minute
	timeWait  = 5 * time.Second
	// A datagram's way is kept for so long after the last one, and shorter
	// where nobody has answered.
	flowIdle   = 2 * time.Minute
	flowSilent = 30 * time.Second
	queryIdle  = 10 * time.Second
	pingWait   = 5 * time.Second
)

// limit bounds how much of something there is at once.
type limit chan struct{}

func newLimit(most int) limit { return make(limit, most) }

// take takes a place, if there is one.
func (l limit) take() bool {
	select {
	case l <- struct{}{}:
		return true
	default:
		return false
	}
}

func (l limit) give() { <-l }

// boundTCP sets what holds for all connections.
func (s *Stack) boundTCP() error {
	wait, sack, moderate := tcpip.TCPTimeWaitTimeoutOption(timeWait), tcpip.TCPSACKEnabled(true), tcpip.TCPModerateReceiveBufferOption(true)
	for _, option := range []tcpip.SettableTransportProtocolOption{
		&tcpip.TCPReceiveBufferSizeRangeOption{Min: 4 << 10, Default: bufferBytes, Max: maxBufferBytes},
		&tcpip.TCPSendBufferSizeRangeOption{Min: 4 << 10, Default: bufferBytes, Max: maxBufferBytes},
		&wait, &sack, &moderate,
	} {
		if err := s.ip.SetTransportProtocolOption(tcp.ProtocolNumber, option); err != nil {
			return problem(err)
		}
	}
	return nil
}

// bound sets what holds for one connection.
func (s *Stack) bound(ep tcpip.Endpoint) {
	o := ep.SocketOptions()
	o.SetKeepAlive(true)
	o.SetDelayOption(false)
	idle := tcpip.KeepaliveIdleOption(keepAlive)
	_ = ep.SetSockOpt(&idle) // of a connection that has ended meanwhile
	if len(s.connections) > crowd {
		o.SetReceiveBufferSize(crowdedBytes, false)
		o.SetSendBufferSize(crowdedBytes, false)
	}
}
