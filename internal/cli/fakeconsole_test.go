package cli

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/rpc"
	"github.com/banger-vm/banger/internal/rpc/rpcserver"
	"github.com/banger-vm/banger/internal/stream"
)

// logs are said 20 bytes an answer, a second each, of which the first 5 are no
// longer kept. A VM that is followed is deleted at the end.
func (f *fake) logs(r api.VMLogsRequest) (api.VMLogs, error) {
	const said = "gone\nOne \x1b[32mgreen\x1b[0m\r\nTwo \x07\nThree, which goes on and on\nFour"
	vm, err := f.find(r.VM)
	if err != nil {
		return api.VMLogs{}, err
	}
	off := uint64(5)
	if r.Offset != nil {
		off = max(off, *r.Offset)
	}
	if r.Tail != nil {
		off = uint64(strings.LastIndex(said, "\n") + 1)
	}
	if !r.Since.IsZero() {
		off = uint64(strings.Index(said, "Two"))
	}
	if r.WaitMS > 0 && off == uint64(len(said)) {
		delete(f.vms, vm.Name)
		return api.VMLogs{}, api.NewError(api.KindNotFound, "it is gone", "")
	}
	end := min(off+20, uint64(len(said)))
	return api.VMLogs{
		ID: vm.ID, Offset: off, Data: []byte(said[off:end]), Next: end, End: uint64(len(said)),
		Times: []api.VMLogTime{{Offset: off, Time: time.Unix(int64(off), 0).UTC()}},
	}, nil
}

// console says who is there, and gives back what is typed until that is a Q.
func (f *fake) console(_ context.Context, params json.RawMessage, conn *rpcserver.StreamConn) {
	var r api.ConsoleAttachRequest
	if rpc.Decode(params, &r) != nil || r.Replay == nil {
		return
	}
	end := stream.NewAgent(stream.Hooks{})
	end.Sender(stream.Stdout).Restart(1000)
	end.Sender(stream.Stderr).Close()
	if conn.Reply(api.ExecAttached{StdoutOffset: 1000, Window: stream.Window}) != nil {
		return
	}
	go func() {
		out, in := end.Sender(stream.Stdout), end.Receiver(stream.Stdin)
		io.WriteString(out, "\x1b[1mlogin:")
		key := make([]byte, 1)
		for {
			if _, err := in.Read(key); err != nil {
				return
			}
			if key[0] == 'Q' {
				break
			}
			out.Write(key)
		}
		out.Close()
		end.SetExit([]byte("{}"))
	}()
	end.Serve(conn)
}
