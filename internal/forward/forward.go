// Package forward is the contract of forwards, by which programs of this host
// and its network reach what listens in a VM: what one is, what cannot be one,
// and how its port is opened. relay listens and carries the connections.
package forward

import (
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/banger-vm/banger/internal/fault"
)

// Forward leads a TCP port of this host to one of a VM, whatever address of
// the guest's loopback listens there.
type Forward struct {
	Address   string `json:"address,omitempty"` // an IP of this host; "": its loopback, IPv4 and IPv6
	HostPort  int    `json:"host_port"`         // 0: any free one, at each start
	GuestPort int    `json:"guest_port"`
}

// Status is a forward with what became of it.
type Status struct {
	Forward
	Port  int    `json:"port,omitempty"`  // that is listened on; 0: none is
	Auto  bool   `json:"auto,omitempty"`  // made because the guest listens
	Error string `json:"error,omitempty"` // why none is listened on, while the VM runs
	// Connections are open now; only told where it was asked for.
	Connections int `json:"connections,omitempty"`
}

// Most is the number of forwards that a VM may be given.
const Most = 64

// maxPort is the greatest port there is.
const maxPort = 1<<16 - 1

// String writes it as it may be given to -p.
func (f Forward) String() string {
	text := strconv.Itoa(f.HostPort) + ":" + strconv.Itoa(f.GuestPort)
	if f.Address == "" {
		return text
	}
	return net.JoinHostPort(f.Address, text)
}

// Open is the address on the host, for people and their programs.
func (s Status) Open() string {
	host, port := s.Address, s.Port
	if host == "" {
		host = "127.0.0.1"
	}
	if port == 0 {
		port = s.HostPort
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// Addresses are those that it listens on.
func (f Forward) Addresses() []netip.Addr {
	if f.Address == "" {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	}
	addr, err := netip.ParseAddr(f.Address)
	if err != nil { // Check has refused it
		return nil
	}
	return []netip.Addr{addr}
}

// Meets reports whether one host port cannot be both's.
func (f Forward) Meets(g Forward) bool {
	if f.HostPort != g.HostPort || f.HostPort == 0 {
		return false
	}
	for _, a := range f.Addresses() {
		for _, b := range g.Addresses() {
			if a == b || a.Is4() == b.Is4() && (a.IsUnspecified() || b.IsUnspecified()) {
				return true
			}
		}
	}
	return false
}

// Check refuses what no VM can have, with a fault.Invalid.
func Check(all []Forward) error {
	if len(all) > Most {
		return fault.New(fault.Invalid, "Take some away: banger forward rm.", "a VM cannot have more than %d forwards", Most)
	}
	for i, f := range all {
		if err := f.check(); err != nil {
			return err
		}
		if at := slices.IndexFunc(all[:i], f.Meets); at >= 0 {
			return fault.New(fault.Invalid, "Give each its own host port, or 0 for any free one.",
				"the forwards %s and %s have one host port", all[at], f)
		}
	}
	return nil
}

func (f Forward) check() error {
	if f.HostPort < 0 || f.HostPort > maxPort || f.GuestPort < 1 || f.GuestPort > maxPort {
		return fault.New(fault.Invalid, "Ports are 1 to 65535; the host's may be 0, for any free one.", "%s cannot be a forward", f)
	}
	if f.Address == "" {
		return nil
	}
	addr, err := netip.ParseAddr(f.Address)
	if err != nil || addr.Zone() != "" || addr.Is4In6() || addr.String() != f.Address {
		return fault.New(fault.Invalid, "Use an IP address of this host, 0.0.0.0 for all, or none for its loopback.",
			"%.80q cannot be the address of a forward", f.Address)
	}
	return nil
}

// Add adds forwards; one that is there already stays.
func Add(all, more []Forward) ([]Forward, error) {
	sum := slices.Clone(all)
	for _, f := range more {
		if slices.Contains(sum, f) && f.HostPort != 0 {
			continue
		}
		if at := slices.IndexFunc(all, f.Meets); at >= 0 {
			return nil, fault.New(fault.Exists, "Use another host port, or take that one away first: banger forward rm.",
				"the VM has a forward of that port already: %s", all[at])
		}
		sum = append(sum, f)
	}
	return sum, Check(sum)
}

// Remove takes forwards away. Which ones is said by the host's port, the one
// that is listened on or the one that was asked for, and, where they are given,
// by address and guest port.
func Remove(all []Forward, live []Status, which []Forward) ([]Forward, error) {
	rest := slices.Clone(all)
	for _, w := range which {
		before := len(rest)
		rest = slices.DeleteFunc(rest, func(f Forward) bool { return w.names(f, live) })
		if len(rest) < before {
			continue
		}
		if slices.ContainsFunc(live, func(s Status) bool { return s.Auto && s.Port == w.HostPort }) {
			return nil, fault.New(fault.Precondition, "Turn all of those off with: banger forward --auto=false VM",
				"the forward of port %d is an automatic one", w.HostPort)
		}
		return nil, fault.New(fault.NotFound, "See which there are with: banger forward ls",
			"the VM has no forward of port %d", w.HostPort)
	}
	return rest, nil
}

func (f Forward) names(g Forward, live []Status) bool {
	if f.Address != "" && f.Address != g.Address || f.GuestPort != 0 && f.GuestPort != g.GuestPort {
		return false
	}
	return f.HostPort == g.HostPort || slices.ContainsFunc(live, func(s Status) bool {
		return s.Forward == g && !s.Auto && s.Port == f.HostPort
	})
}

// Merge is the forwards that a VM is to have with what its monitor says of
// them, which is nothing while it does not run, and the automatic ones.
func Merge(all []Forward, live []Status) []Status {
	merged := make([]Status, 0, len(all)+len(live))
	live = slices.Clone(live)
	for _, f := range all {
		at := slices.IndexFunc(live, func(s Status) bool { return s.Forward == f && !s.Auto })
		if at < 0 {
			merged = append(merged, Status{Forward: f})
			continue
		}
		merged = append(merged, live[at])
		live = slices.Delete(live, at, at+1) // two may be alike, on any free port each
	}
	for _, s := range live {
		if s.Auto {
			merged = append(merged, s)
		}
	}
	return merged
}
