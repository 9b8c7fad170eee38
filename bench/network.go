package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/banger-vm/banger/internal/vmm/qemu"
)

// networkBytes are moved at once, each way.
const networkBytes = 100 << 20

// guestNetwork measures TCP between a guest and a service of this host, through
// the guest's network card: against QEMU's own NAT.
func guestNetwork(ctx context.Context, b *bench) (err error) {
	if b.facts.driver != qemu.DriverName {
		return nil // its floor has no card
	}
	service, err := newService()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, service.close()) }()
	floor, err := b.floor.boot(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, floor.end()) }()
	for _, command := range []string{"sudo ip link set eth0 up", "sudo ip addr add 10.0.2.15/24 dev eth0", makeFile} {
		if _, err := floor.run(command); err != nil {
			return err
		}
	}
	const name = "network"
	create := append([]string{"vm", "create", "-n", name, "--allow-host", service.at}, b.kind.flags()...)
	for _, argv := range [][]string{create, {"start", name}} {
		if _, err := b.rig.run(ctx, argv...); err != nil {
			return err
		}
	}
	if _, err := b.rig.settle(ctx, name); err != nil {
		return err
	}
	if _, err := b.rig.exec(ctx, name, "truncate", "-s", strconv.Itoa(networkBytes), file); err != nil {
		return err
	}
	var rows [2][2]samples // by direction and side
	for range b.rounds(7) {
		for way, argv := range [][]string{{"curl", "-sS", "-T", file, service.url}, {"curl", "-sS", "-o", "/dev/null", service.url}} {
			line := ""
			for _, word := range argv {
				line += word + " "
			}
			for side, run := range []func() error{
				func() error { return second(floor.run(line)) },
				func() error { return second(b.rig.exec(ctx, name, argv...)) },
			} {
				took, err := service.measure(run)
				if err != nil {
					return err
				}
				rows[way][side].add(took)
			}
		}
	}
	b.add(
		row{"100 MiB of TCP out of a guest, to this host; the floor is QEMU's own NAT", "curl -T", "ms", rows[0][0], rows[0][1], 1},
		row{"100 MiB of TCP into a guest, from this host; the floor is QEMU's own NAT", "curl", "ms", rows[1][0], rows[1][1], 1},
	)
	return b.forget(ctx, name)
}

// file is what guests send.
const file = "/var/tmp/zeros"

var makeFile = fmt.Sprintf("truncate -s %d %s", networkBytes, file)

// service takes and gives zeros, and measures how long that takes.
type service struct {
	at, url string // for the host, and for its guests
	server  *http.Server

	mu   sync.Mutex
	took time.Duration // by the last request
	n    int64
}

func newService() (*service, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &service{at: l.Addr().String(), url: fmt.Sprintf("http://10.0.2.2:%d/zeros", l.Addr().(*net.TCPAddr).Port)}
	s.server = &http.Server{Handler: s}
	go func() { _ = s.server.Serve(l) }() // until it is closed
	return s, nil
}

func (s *service) close() error { return s.server.Close() }

// ServeHTTP takes or gives networkBytes.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var n int64
	var err error
	begin := time.Now()
	if r.Method == http.MethodPut {
		n, err = io.Copy(io.Discard, r.Body)
	} else {
		w.Header().Set("Content-Length", strconv.Itoa(networkBytes))
		n, err = io.Copy(w, io.LimitReader(zeros{}, networkBytes))
	}
	if err != nil {
		n = 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took, s.n = time.Since(begin), n
}

// measure runs one request and returns how long it took.
func (s *service) measure(run func() error) (time.Duration, error) {
	if err := run(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n != networkBytes {
		return 0, fmt.Errorf("%d of %d bytes went through the network", s.n, networkBytes)
	}
	return s.took, nil
}
