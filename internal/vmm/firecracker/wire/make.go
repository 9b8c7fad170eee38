// Package wire is the wire at an enclosed VMM's network card. The card is
// plugged into a TAP in the VMM's own network namespace, where nothing else is
// and which leads nowhere. What comes out of the TAP is taken up by a packet
// socket of that namespace, which the VMM's process holds, so that it lives as
// long as it, and the VM's monitor works with.
package wire

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Device makes TAPs.
const Device = "/dev/net/tun"

// Name is the TAP's, in its namespace.
const Name = "tap0"

// Missing says why no TAP can be made here, "" if one can.
func Missing() string { return MissingAt(Device) }

// MissingAt says it of the device at path.
func MissingAt(path string) string {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	switch {
	case err == nil:
		_ = f.Close() // nothing was done with it
		return ""
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return "this host has no " + Device + "; sudo modprobe tun may change that"
	case errors.Is(err, os.ErrPermission):
		return "this user may not open " + Device + "; sudo chmod 0666 " + Device + ", as udev has it, changes that"
	}
	return fmt.Sprintf("%s cannot be opened: %v", Device, err)
}

// Make makes the TAP in our network namespace, for the user owner, and returns
// the socket at its other side. It needs the capabilities of the namespace.
func Make(owner int) (*os.File, error) {
	if err := makeTAP(owner); err != nil {
		return nil, fmt.Errorf("making the TAP of the network card: %w", err)
	}
	f, err := openSocket()
	if err != nil {
		return nil, fmt.Errorf("opening the wire at the network card: %w", err)
	}
	return f, nil
}

func makeTAP(owner int) error {
	fd, err := unix.Open(Device, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq(Name)
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return err
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETOWNER, owner); err != nil {
		return err
	}
	// It stays when we let go of it; it goes with its namespace.
	return unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1)
}

// openSocket opens the socket, and sets the TAP going.
func openSocket() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "wire")
	if err := bind(fd); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func bind(fd int) error {
	// With the card's own header a frame may be as large as the guest makes
	// it, and need have no checksums.
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
		return err
	}
	// What we send ourselves is not the guest's.
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20); err != nil { // as far as the host lets us
		return err
	}
	index, err := setUp(fd)
	if err != nil {
		return err
	}
	all := uint16(unix.ETH_P_ALL)
	return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all<<8 | all>>8, Ifindex: index})
}

// setUp sets the TAP going, through any socket of its namespace.
func setUp(fd int) (index int, err error) {
	// The namespace's own kernel has nothing to say on it. Where it cannot be
	// kept from it, both ends ignore what it says.
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+Name+"/disable_ipv6", []byte("1"), 0)
	req, err := unix.NewIfreq(Name)
	if err != nil {
		return 0, err
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_NOARP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req); err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, req); err != nil {
		return 0, err
	}
	return int(req.Uint32()), nil
}
