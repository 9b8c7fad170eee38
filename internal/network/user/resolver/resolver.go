// Package resolver passes a guest's DNS queries on to this host's resolvers,
// unread: those that /etc/resolv.conf names, loopback ones included.
package resolver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

// Path is where a host says which resolvers it asks.
const Path = "/etc/resolv.conf"

const (
	maxServers = 3       // as the C library has it
	maxFile    = 1 << 20 // bytes
	port       = 53
	// patience is how long one resolver is waited for, of two rounds.
	patience = 2 * time.Second
	rounds   = 2
	// MaxMessage is the longest message, in bytes.
	MaxMessage = 1 << 16
	minMessage = 12
)

// Resolver asks this host's resolvers.
type Resolver struct {
	path string
	log  *slog.Logger

	mu      sync.Mutex // guards the following
	stamp   stamp
	servers []netip.AddrPort
}

// stamp tells one state of a file from the next.
type stamp struct {
	modified time.Time
	size     int64
	file     fs.FileInfo
}

func (s stamp) same(info fs.FileInfo) bool {
	return s.file != nil && s.modified.Equal(info.ModTime()) && s.size == info.Size() && os.SameFile(s.file, info)
}

// New reads the resolvers that the file at path names, now and whenever it
// has changed. While it cannot be read the last ones hold.
func New(path string, log *slog.Logger) *Resolver {
	r := &Resolver{path: path, log: log}
	r.Servers()
	return r
}

// Servers are the resolvers as the file has them now.
func (r *Resolver) Servers() []netip.AddrPort {
	info, err := os.Stat(r.path)
	r.mu.Lock()
	known, servers := err == nil && r.stamp.same(info), r.servers
	r.mu.Unlock()
	if known {
		return servers
	}
	var text []byte
	if err == nil {
		text, err = read(r.path)
	}
	if err != nil {
		r.log.Debug("this host's resolvers are not known anew", "err", err)
		return servers
	}
	servers = parse(text)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stamp, r.servers = stamp{info.ModTime(), info.Size(), info}, servers
	return servers
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// parse returns the first name servers of a resolv.conf; without one it is
// this host itself, as resolv.conf(5) has it.
func parse(text []byte) (servers []netip.AddrPort) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() && len(servers) < maxServers {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if addr, err := netip.ParseAddr(fields[1]); err == nil {
			servers = append(servers, netip.AddrPortFrom(addr.Unmap(), port))
		}
	}
	if len(servers) == 0 {
		servers = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)}
	}
	return servers
}

var errNoAnswer = errors.New("no resolver of this host answers")

// Exchange sends a query by UDP and returns the answer to it. It asks the
// resolvers one after the other, twice.
func (r *Resolver) Exchange(ctx context.Context, query []byte) ([]byte, error) {
	if len(query) < minMessage {
		return nil, errors.New("this is no query")
	}
	err := errNoAnswer
	for range rounds {
		for _, server := range r.Servers() {
			answer, aerr := ask(ctx, server, query)
			if aerr == nil {
				return answer, nil
			}
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			err = fmt.Errorf("%w: %w", errNoAnswer, aerr)
		}
	}
	return nil, err
}

// ask sends one query from a port of its own, so that nobody else can guess
// where the answer goes.
func ask(ctx context.Context, server netip.AddrPort, query []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "udp", server.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := conn.Write(query); err != nil {
		return nil, err
	}
	buf := make([]byte, MaxMessage)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		if n >= minMessage && buf[0] == query[0] && buf[1] == query[1] {
			return buf[:n], nil
		}
	}
}

// Dial connects to the first resolver that takes a connection.
func (r *Resolver) Dial(ctx context.Context) (conn net.Conn, err error) {
	err = errNoAnswer
	for _, server := range r.Servers() {
		bounded, cancel := context.WithTimeout(ctx, patience)
		conn, derr := new(net.Dialer).DialContext(bounded, "tcp", server.String())
		cancel()
		if derr == nil {
			return conn, nil
		}
		err = derr
	}
	return nil, err
}
