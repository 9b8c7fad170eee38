package monitor

import (
	"context"
	"net"
	"strconv"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/forward"
	"github.com/banger-vm/banger/internal/forward/relay"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/jsonfile"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/monitor/control"
)

// forwardsFile is what the next monitor listens on too.
const forwardsFile = "forwards.json"

// autoPace is how often a guest may change what is forwarded of itself.
const autoPace = time.Second

// keptForwards are the forwards of a boot, with the ports that they have.
type keptForwards struct {
	BootID string           `json:"boot_id"`
	Auto   bool             `json:"auto"`
	All    []forward.Status `json:"all"`
}

// openForwards listens on the VM's forwards: those that the last monitor had,
// where it kept this boot.
func (m *Monitor) openForwards(adopt bool) error {
	var was keptForwards
	if err := jsonfile.Read(m.launch.Spec.Dir, forwardsFile, &was); adopt && err == nil && was.BootID == m.launch.BootID {
		m.auto.wanted = was.Auto
		m.forwards.Restore(was.All)
		return nil
	}
	m.auto.wanted = m.launch.AutoForward
	if adopt { // of a monitor that had none
		was.All = forward.Merge(m.launch.Forwards, nil)
		m.forwards.Restore(was.All)
		return nil
	}
	return m.forwards.Replace(m.launch.Forwards)
}

// forwarding tells, and keeps for the next monitor, what is listened on.
func (m *Monitor) forwarding(all []forward.Status) {
	m.board.update(func(s *machine.Status) { s.Forwards = all })
	m.mu.Lock()
	kept := keptForwards{BootID: m.launch.BootID, Auto: m.auto.wanted, All: all}
	m.mu.Unlock()
	if err := jsonfile.WriteStatus(m.launch.Spec.Dir, forwardsFile, kept); err != nil {
		m.log.Warn("keeping the forwards for the next monitor failed", "err", err)
	}
}

// dialPort connects to a port of the guest's loopback, whichever it is; while
// the guest boots it waits.
func (m *Monitor) dialPort(ctx context.Context, port int) (relay.Conn, error) {
	if err := m.awaitGuest(ctx); err != nil {
		return nil, err
	}
	conn, err := m.connect(ctx, "127.0.0.1", port)
	if fault.KindOf(err) == fault.Precondition { // nothing listens there
		if six, err := m.connect(ctx, "::1", port); err == nil {
			return six, nil
		}
	}
	if err != nil {
		return nil, err
	}
	return conn, nil
}

func (m *Monitor) connect(ctx context.Context, host string, port int) (relay.Conn, error) {
	return m.agent.Connect(ctx, api.DialSpec{Network: "tcp", Address: net.JoinHostPort(host, strconv.Itoa(port))})
}

// autoForward is whether the guest's listeners get forwards.
type autoForward struct {
	wanted bool // guarded by Monitor.mu
	turn   chan struct{}
	stop   func() // ends the watch; nil without one; held by the turn
}

// setAuto turns automatic forwards on or off.
func (m *Monitor) setAuto(on bool) {
	m.auto.turn <- struct{}{}
	defer func() { <-m.auto.turn }()
	m.wantAuto(on)
	switch {
	case on && m.auto.stop == nil:
		ctx, cancel := context.WithCancel(m.life)
		over := make(chan struct{})
		go func() {
			defer close(over)
			m.keepAuto(ctx)
		}()
		m.auto.stop = func() { cancel(); <-over }
	case !on && m.auto.stop != nil:
		m.auto.stop()
		m.auto.stop = nil
		m.forwards.Auto(nil)
	}
}

// keepAuto follows what listens in the guest until ctx ends, over its reboots.
func (m *Monitor) keepAuto(ctx context.Context) {
	for m.awaitGuest(ctx) == nil {
		err := m.agent.WatchListeners(ctx, func(all wire.Listeners) error {
			m.forwards.Auto(reachable(all.All))
			return rest(ctx, autoPace)
		})
		if ctx.Err() == nil {
			m.log.Debug("watching what listens in the guest ended, trying again", "err", err)
		}
		if rest(ctx, autoPace) != nil {
			return
		}
	}
}

// reachable are the ports that a connection to the guest's loopback finds.
func reachable(all []wire.Listening) (ports []int) {
	for _, l := range all {
		switch l.Address {
		case "127.0.0.1", "::1", "0.0.0.0", "::":
			if l.Network == "tcp" {
				ports = append(ports, l.Port)
			}
		}
	}
	return ports
}

func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (m *Monitor) handleForward(_ context.Context, req control.ForwardRequest) (api.Empty, error) {
	was := m.wantAuto(req.Auto) // it is kept together with the forwards
	if err := m.forwards.Replace(req.All); err != nil {
		m.wantAuto(was)
		return api.Empty{}, err
	}
	m.setAuto(req.Auto)
	return api.Empty{}, nil
}

func (m *Monitor) wantAuto(on bool) (was bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	was, m.auto.wanted = m.auto.wanted, on
	return was
}

func (m *Monitor) handleListening(ctx context.Context, _ api.Empty) (machine.Listening, error) {
	if err := m.awaitGuest(ctx); err != nil {
		return machine.Listening{}, err
	}
	all, err := m.agent.Listeners(ctx)
	return machine.Listening{Guest: all, Forwards: m.forwards.Status()}, err
}
