package forward

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"syscall"

	"github.com/banger-vm/banger/internal/fault"
)

// tries bounds the search for a port that is free on IPv4 and IPv6.
const tries = 50

// Listen opens a forward's port and returns it; the caller closes the
// listeners. A port that is in use is a fault.Busy.
func Listen(f Forward) (on []*net.TCPListener, port int, err error) {
	for range tries {
		on, port, err = listen(f)
		if f.HostPort != 0 || fault.KindOf(err) != fault.Busy {
			break
		}
	}
	return on, port, err
}

// Free reports, by no error, that a forward's port could be opened just now.
func Free(f Forward) error {
	on, _, err := Listen(f)
	closeAll(on)
	return err
}

func listen(f Forward) (on []*net.TCPListener, port int, err error) {
	port = f.HostPort
	for _, addr := range f.Addresses() {
		family := "tcp4"
		if addr.Is6() {
			family = "tcp6"
		}
		l, err := net.ListenTCP(family, net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, uint16(port))))
		if err != nil && f.Address == "" && addr.Is6() && absent(err) {
			continue // this host has no IPv6
		}
		if err != nil {
			closeAll(on)
			return nil, 0, refusal(addr, port, err)
		}
		on = append(on, l)
		port = l.Addr().(*net.TCPAddr).Port
	}
	return on, port, nil
}

// absent reports whether the host lacks the address.
func absent(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
}

func refusal(addr netip.Addr, port int, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fault.New(fault.Busy, "Use another host port, or 0 for any free one.", "port %d of %s is in use", port, addr)
	case errors.Is(err, fs.ErrPermission):
		return fault.New(fault.Precondition, "Use a host port from 1024 on, or allow it: sudo sysctl net.ipv4.ip_unprivileged_port_start=80",
			"port %d of %s is only for root", port, addr)
	case absent(err):
		return fault.New(fault.Precondition, "See which it has with: ip address", "%s is no address of this host", addr)
	}
	return fault.New(fault.Internal, "", "port %d of %s cannot be opened: %w", port, addr, err)
}

func closeAll(on []*net.TCPListener) {
	for _, l := range on {
		l.Close() // nothing was written to it
	}
}
