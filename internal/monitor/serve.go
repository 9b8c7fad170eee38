package monitor

import (
	"context"
	"encoding/json"
	"runtime/debug"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/guest"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/monitor/control"
	"github.com/banger-vm/banger/internal/monitor/line"
	"github.com/banger-vm/banger/internal/rpc"
	"github.com/banger-vm/banger/internal/rpc/rpcserver"
)

// maxWait bounds a long poll.
const maxWait = time.Minute

// server answers the daemon and the clients.
func (m *Monitor) server() *rpcserver.Server {
	return rpcserver.New(m.log, rpcserver.Config{
		Methods: map[string]rpcserver.Handler{
			control.MethodStatus: rpcserver.Bind(m.handleStatus),
			control.MethodStop:   rpcserver.Bind(m.handleStop),
			control.MethodKill:   rpcserver.Bind(m.handleKill),

			control.MethodPause:  rpcserver.Bind(m.handlePause),
			control.MethodResume: rpcserver.Bind(m.handleResume),

			control.MethodForward:   rpcserver.Bind(m.handleForward),
			control.MethodListening: rpcserver.Bind(m.handleListening),

			control.MethodAuth: rpcserver.Bind(m.handleAuth),

			control.MethodPing:   rpcserver.Bind(m.handlePing),
			control.MethodHealth: rpcserver.Bind(m.handleHealth),
			control.MethodCounts: rpcserver.Bind(m.handleCounts),
		},
		Streams: map[string]rpcserver.Stream{
			api.MethodExecAttach: m.stream(m.agent.Exec),
			api.MethodDialOpen:   m.stream(m.agent.Dial),
			api.MethodFilesPut:   m.stream(m.agent.FilesPut),
			api.MethodFilesGet:   m.stream(m.agent.FilesGet),

			api.MethodConsoleAttach: m.attachConsole,
		},
		Rest: debug.FreeOSMemory,
	})
}

func (m *Monitor) handleStatus(ctx context.Context, req control.StatusRequest) (machine.Status, error) {
	bounded, cancel := context.WithTimeout(ctx, min(time.Duration(req.WaitMS)*time.Millisecond, maxWait))
	defer cancel()
	select {
	case <-m.known:
	case <-time.After(adoptPatience):
	case <-ctx.Done():
	}
	// At the bound, and when the monitor ends, the last status is the answer.
	s, _ := m.board.wait(bounded, func(s machine.Status) bool { return s.Version > req.After })
	return s, nil
}

func (m *Monitor) handleStop(context.Context, api.Empty) (api.Empty, error) {
	if !m.stop.Swap(true) {
		go m.shutDown(m.life)
	}
	return api.Empty{}, nil
}

func (m *Monitor) handleKill(context.Context, api.Empty) (api.Empty, error) {
	m.dismiss()
	m.mu.Lock()
	mach := m.machine
	m.asked = machine.ExitKilled
	m.mu.Unlock()
	if mach != nil {
		go m.end(m.life, mach, machine.ExitKilled)
	}
	return api.Empty{}, nil
}

// attachConsole seats a client at the serial line, whatever the guest is doing.
func (m *Monitor) attachConsole(ctx context.Context, raw json.RawMessage, conn *rpcserver.StreamConn) {
	var req api.ConsoleAttachRequest
	err := rpc.Decode(raw, &req)
	var seat *line.Seat
	var reply api.ExecAttached
	if err == nil {
		seat, reply, err = m.line.Sit(req)
	}
	if err != nil {
		err = conn.Fail(err)
	} else if err = conn.Reply(reply); err == nil {
		err = seat.Serve(ctx, conn)
	}
	if err != nil {
		m.log.Debug("a client left the console", "err", err)
	}
}

// opener is a call of the agent that begins a stream.
type opener func(ctx context.Context, request, early []byte) (rwc, *api.ExecAttached, error)

// stream hands a client's stream to the agent, unread, once the guest can run
// commands.
func (m *Monitor) stream(open opener) rpcserver.Stream {
	return func(ctx context.Context, raw json.RawMessage, conn *rpcserver.StreamConn) {
		stream, reply, err := m.open(ctx, open, raw, conn.TakeBuffered())
		if err != nil {
			if err := conn.Fail(err); err != nil {
				m.log.Debug("a refusal did not reach its client", "err", err)
			}
			return
		}
		defer stream.Close()
		if err := conn.Reply(reply); err != nil {
			m.log.Debug("a client left before its stream began", "err", err)
			return
		}
		if err := guest.Pass(ctx, conn, stream); err != nil {
			m.log.Debug("a stream ended", "err", err)
		}
	}
}

func (m *Monitor) open(ctx context.Context, open opener, raw json.RawMessage, early []byte) (rwc, *api.ExecAttached, error) {
	if err := m.awaitGuest(ctx); err != nil {
		return nil, nil, err
	}
	return open(ctx, raw, early)
}

// awaitGuest waits until the guest's agent has its identity, and to the end of a
// pause: what was under way then goes on after it. An error where the VM has
// ended.
func (m *Monitor) awaitGuest(ctx context.Context) error {
	s, err := m.board.wait(ctx, func(s machine.Status) bool {
		return s.ReadyMS > 0 && s.Pause == "" || s.Phase == machine.PhaseExited
	})
	if err == nil && s.Phase == machine.PhaseExited {
		err = fault.New(fault.Precondition, "See why with: banger inspect.", "the VM has ended")
	}
	return err
}
