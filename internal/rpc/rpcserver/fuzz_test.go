package rpcserver_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/rpc"
	"github.com/banger-vm/banger/internal/rpc/rpcserver"
)

// Whatever a client sends, each line that comes back is JSON, and the next call
// is answered, or the connection is closed.
func FuzzServe(f *testing.F) {
	for _, line := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"echo","params":{"text":"x"}}`, `[{"jsonrpc":"2.0","id":1,"method":"echo"},{}]`, `{"jsonrpc":"2.0","id":{},"method":5}`,
		`{"jsonrpc":"2.0","method":"panic"}`, "\x00", `{"id":1e400}`, `[[[[`, `{"jsonrpc":"2.0","id":"a","method":"busy","params":[]}`,
	} {
		f.Add([]byte(line))
	}
	socket, _ := serve(f, rpcserver.Config{Methods: methods()})
	f.Fuzz(func(t *testing.T, line []byte) {
		conn, err := rpc.Dial(t.Context(), socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		go io.WriteString(conn, string(line)+"\n"+`{"jsonrpc":"2.0","id":"the next","method":"echo"}`+"\n")
		for r := bufio.NewReader(conn); ; {
			answer, err := r.ReadBytes('\n')
			if err != nil {
				if len(line) < rpc.MaxRequest {
					t.Errorf("no answer: %v", err)
				}
				return
			}
			if !json.Valid(answer) {
				t.Errorf("%q is no JSON", answer)
			}
			if bytes.Contains(answer, []byte(`"id":"the next","result"`)) {
				return
			}
		}
	})
}
