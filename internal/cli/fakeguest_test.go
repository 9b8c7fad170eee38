package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/rpc"
	"github.com/banger-vm/banger/internal/rpc/rpcserver"
	"github.com/banger-vm/banger/internal/stream"
)

// attach plays monitor and agent: a few commands, on the real streams.
func (f *fake) attach(_ context.Context, params json.RawMessage, conn *rpcserver.StreamConn) {
	var r api.ExecAttachRequest
	if err := rpc.Decode(params, &r); err != nil || r.Start == nil {
		conn.Fail(fmt.Errorf("not like that: %w", err))
		return
	}
	signals := make(chan int, 16)
	sizes := make(chan [2]uint16, 16)
	end := stream.NewAgent(stream.Hooks{
		Signal: func(n int) { signals <- n },
		Resize: func(rows, cols uint16) { sizes <- [2]uint16{rows, cols} },
	})
	if err := conn.Reply(api.ExecAttached{ID: r.ID, Window: stream.Window}); err != nil {
		return
	}
	go func() {
		g := guest{end: end, spec: *r.Start, signals: signals, sizes: sizes}
		exit := g.run()
		end.Sender(stream.Stdout).Close()
		end.Sender(stream.Stderr).Close()
		payload, _ := json.Marshal(exit)
		end.SetExit(payload)
	}()
	end.Serve(conn)
}

type guest struct {
	end     *stream.End
	spec    api.ExecSpec
	signals chan int
	sizes   chan [2]uint16
}

func (g guest) run() api.ExecExit {
	out, errOut := g.end.Sender(stream.Stdout), g.end.Sender(stream.Stderr)
	if len(g.spec.Argv) == 0 {
		fmt.Fprintf(out, "a shell, tty %v\n", g.spec.TTY)
		return api.ExecExit{}
	}
	args := g.spec.Argv[1:]
	switch g.spec.Argv[0] {
	case "echo":
		fmt.Fprintln(out, strings.Join(args, " "))
	case "both":
		io.WriteString(out, "to stdout\n")
		io.WriteString(errOut, "to stderr\n")
	case "cat":
		io.Copy(out, g.end.Receiver(stream.Stdin))
	case "exit":
		n, _ := strconv.Atoi(args[0])
		return api.ExecExit{Code: n}
	case "spec":
		fmt.Fprintf(out, "env %q cwd %q user %q tty %v %dx%d\n", g.spec.Env, g.spec.Cwd, g.spec.User, g.spec.TTY, g.spec.Rows, g.spec.Cols)
	case "sleep":
		io.WriteString(out, "sleeping\n")
		n := <-g.signals
		return api.ExecExit{Code: 128 + n, Signal: n}
	case "deaf":
		io.WriteString(out, "deaf\n")
		for n := range g.signals {
			fmt.Fprintf(out, "signal %d\n", n)
		}
	case "size":
		fmt.Fprintf(out, "%dx%d\r\n", g.spec.Rows, g.spec.Cols)
		s := <-g.sizes
		fmt.Fprintf(out, "%dx%d\r\n", s[0], s[1])
	case "yes":
		for {
			if _, err := io.WriteString(out, "y\n"); err != nil {
				return api.ExecExit{Code: 141, Signal: 13}
			}
		}
	default:
		return api.ExecExit{Code: 127, Error: "the program " + g.spec.Argv[0] + " was not found\x1b"}
	}
	return api.ExecExit{}
}
