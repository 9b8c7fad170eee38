package files

import (
	"log/slog"
	"testing"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/guestd/session"
)

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"id":"0123456789abcdef","start":{"path":"x/","into":true},"stderr_offset":7}`))
	f.Add([]byte(`{"id":"0123456789abcdef","start":{"user":"root","paths":["a","/b"]}}`))
	f.Add([]byte(`{"id":"0123456789abcdef","start":{"user":"\u0000","paths":["\u0000"]}}`))
	s := New(slog.New(slog.DiscardHandler), Config{Etc: f.TempDir()})
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, decode := range []func([]byte) (session.Request, *wire.ExecFail){s.decodePut, s.decodeGet} {
			req, fail := decode(line)
			switch {
			case fail != nil && (fail.Kind != string(api.KindInvalid) || fail.Message == ""):
				t.Errorf("the refusal is %+v", fail)
			case fail != nil && req.Begin != nil:
				t.Error("it is refused and begun")
			}
		}
	})
}
