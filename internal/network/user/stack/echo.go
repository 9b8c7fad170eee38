package stack

import (
	"context"
	"encoding/binary"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/network/user/frames"
	"github.com/banger-vm/banger/internal/network/user/policy"
)

// noEcho is the reason where this host lets its user send no echo requests.
const noEcho policy.Why = "this host lets its user send no pings (net.ipv4.ping_group_range)"

// echo passes a guest's echo request on, if this host lets us, and brings the
// reply back. It does not wait.
func (s *Stack) echo(p frames.Packet, body []byte) {
	dst := netip.AddrPortFrom(p.Dst, 0)
	to, why := s.reach(dst)
	if why != "" {
		s.ledger.refuse("icmp", dst, why)
		s.port.frame(p.Prohibited())
		return
	}
	if !s.pings.take() {
		return // a ping may be lost
	}
	fd, err := echoSocket(to.Addr())
	if err != nil {
		s.pings.give()
		s.ledger.refuse("icmp", dst, noEcho)
		s.port.frame(p.Prohibited())
		return
	}
	about, body := p.Quote(), append([]byte(nil), body...)
	s.work.Go(func() {
		defer s.pings.give()
		f := os.NewFile(uintptr(fd), "ping")
		defer f.Close()
		defer context.AfterFunc(s.ctx, func() { f.Close() })()
		if err := ping(f, about, body); err != nil {
			s.log.Debug("a guest's ping was not answered", "to", to.Addr(), "err", err)
			return
		}
		typ := uint8(typeReply4)
		if p.Src.Is6() {
			typ = typeReply6
		}
		s.port.frame(about.Back().ICMP(typ, 0, body))
	})
}

// echoSocket makes a socket that may send echo requests to one address and
// nothing else: no privilege is needed for it where the host allows it at all.
func echoSocket(to netip.Addr) (int, error) {
	family, proto := unix.AF_INET, unix.IPPROTO_ICMP
	var sa unix.Sockaddr
	if to.Is6() {
		family, proto = unix.AF_INET6, unix.IPPROTO_ICMPV6
		sa = &unix.SockaddrInet6{Addr: to.As16()}
	} else {
		sa = &unix.SockaddrInet4{Addr: to.As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto)
	if err != nil {
		return -1, err
	}
	if err := unix.Connect(fd, sa); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// ping sends the guest's request, whose body begins with its identifier and
// sequence, and returns when the reply to it is here.
func ping(f *os.File, about frames.Packet, body []byte) error {
	if err := f.SetDeadline(time.Now().Add(pingWait)); err != nil {
		return err
	}
	typ, reply := byte(typeEcho4), byte(typeReply4)
	if about.Src.Is6() {
		typ, reply = typeEcho6, typeReply6
	}
	// The kernel puts in the checksum and an identifier of its own.
	if _, err := f.Write(append([]byte{typ, 0, 0, 0}, body...)); err != nil {
		return err
	}
	buf := buffers.Get().(*[64 << 10]byte)
	defer buffers.Put(buf)
	for {
		n, err := f.Read(buf[:])
		if err != nil {
			return err
		}
		if n >= 8 && buf[0] == reply && binary.BigEndian.Uint16(buf[6:]) == binary.BigEndian.Uint16(body[2:]) {
			return nil
		}
	}
}
