package client

import (
	"context"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/stream"
)

// Console sits down at a running VM's serial console: cfg.Stdin is what is
// typed, cfg.Stdout gets all that the guest says, beginning with about replay
// bytes of what it said before. It goes on when the VM's monitor or the daemon
// is killed, and when the guest reboots. Its Wait returns without an error when
// the VM has ended; signals and sizes do nothing.
func (c *Client) Console(ctx context.Context, vm string, replay uint32, cfg ExecConfig) (*Exec, error) {
	at, err := c.VMConnect(ctx, vm)
	if err != nil {
		return nil, err
	}
	return OpenConsole(ctx, c.monitorDialer(at), replay, cfg)
}

// OpenConsole is Console on a monitor that dial connects to.
func OpenConsole(ctx context.Context, dial ExecDialer, replay uint32, cfg ExecConfig) (*Exec, error) {
	l := &link{what: "console", dial: dial, starts: true, end: stream.NewClient()}
	l.call = func(start bool, out, _ uint64) (string, any) {
		req := api.ConsoleAttachRequest{StdoutOffset: out, StdinOffset: l.end.Sender(stream.Stdin).Offset()}
		if start {
			req = api.ConsoleAttachRequest{Replay: &replay}
		}
		return api.MethodConsoleAttach, req
	}
	if cfg.Stdin == nil {
		l.end.Sender(stream.Stdin).Close() // marks the stream's end, which cannot fail
	}
	return open(ctx, l, cfg)
}
