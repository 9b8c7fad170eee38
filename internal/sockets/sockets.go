// Package sockets says what listens on this machine, and which programs: by
// /proc alone, whose bytes other users have a say in.
package sockets

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The bounds of what is read: a program may open any number of sockets.
const (
	maxSockets = 4096
	maxLines   = 1 << 18 // of a table, most of which are connections
)

// Socket is a TCP socket that listens, or a UDP one that is bound and not
// connected.
type Socket struct {
	Network string // tcp or udp
	Addr    netip.AddrPort
	UID     uint32
	inode   uint64
	Owner   Owner // of which it is one; zero where it is not known, or was not asked for
}

// Owner is a process that has a socket.
type Owner struct {
	PID  int
	Name string // at most 15 bytes, chosen by the program
}

// tables are those of the kernel, with the state that counts.
var tables = []struct{ file, network, state string }{
	{"tcp", "tcp", "0A"}, {"tcp6", "tcp", "0A"}, {"udp", "udp", "07"}, {"udp6", "udp", "07"},
}

// List returns what listens, by port; without owners. proc is where /proc is
// mounted. more says that there are too many to list all.
func List(proc string) (all []Socket, more bool, err error) {
	for _, t := range tables {
		f, err := os.Open(filepath.Join(proc, "net", t.file))
		if errors.Is(err, fs.ErrNotExist) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, false, fmt.Errorf("asking for the kernel's sockets: %w", err)
		}
		found, cut, err := parse(f, t.network, t.state)
		f.Close()
		if err != nil {
			return nil, false, fmt.Errorf("reading %s: %w", f.Name(), err)
		}
		all, more = append(all, found...), more || cut
	}
	slices.SortFunc(all, func(a, b Socket) int {
		if a.Addr.Port() != b.Addr.Port() {
			return int(a.Addr.Port()) - int(b.Addr.Port())
		}
		if a.Network != b.Network {
			return strings.Compare(a.Network, b.Network)
		}
		return a.Addr.Addr().Compare(b.Addr.Addr())
	})
	return all, more, nil
}

// parse reads one of the kernel's tables.
func parse(r io.Reader, network, state string) (all []Socket, more bool, err error) {
	lines := bufio.NewScanner(r)
	for n := 0; lines.Scan(); n++ {
		if n == maxLines || len(all) == maxSockets {
			return all, true, nil
		}
		col := strings.Fields(lines.Text())
		if n == 0 || len(col) < 10 || col[3] != state { // the first are titles
			continue
		}
		s := Socket{Network: network}
		peer, err := address(col[2])
		if err != nil {
			return nil, false, err
		}
		if s.Addr, err = address(col[1]); err != nil {
			return nil, false, err
		}
		uid, err := strconv.ParseUint(col[7], 10, 32)
		if err != nil {
			return nil, false, err
		}
		if s.inode, err = strconv.ParseUint(col[9], 10, 64); err != nil {
			return nil, false, err
		}
		if s.UID = uint32(uid); peer.Port() == 0 && s.Addr.Port() != 0 {
			all = append(all, s)
		}
	}
	return all, false, lines.Err()
}

var errAddress = errors.New("it has an address of an unknown form")

// address reads an address as the kernel has it: words of 32 bits in the order
// of this machine's bytes, which is the little one, and a port.
func address(text string) (netip.AddrPort, error) {
	digits, port, ok := strings.Cut(text, ":")
	raw, err := hex.DecodeString(digits)
	n, portErr := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil || portErr != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, errAddress
	}
	for word := raw; len(word) > 0; word = word[4:] {
		slices.Reverse(word[:4])
	}
	addr, ok := netip.AddrFromSlice(raw)
	if !ok {
		return netip.AddrPort{}, errAddress
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), nil
}
