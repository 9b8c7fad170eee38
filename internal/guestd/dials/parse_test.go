package dials

import (
	"testing"

	"github.com/banger-vm/banger/api"
)

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"id":"0123456789abcdef","start":{"network":"tcp","address":"127.0.0.1:1"},"stdout_offset":7}`))
	f.Add([]byte(`{"id":"0123456789abcdef","start":{"network":"unix","address":"/x"}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		req, fail := decode(line)
		switch {
		case fail != nil && (fail.Kind != string(api.KindInvalid) || fail.Message == ""):
			t.Errorf("the refusal is %+v", fail)
		case fail == nil && req.Start != nil && req.Start.Network != "tcp" && req.Start.Network != "unix":
			t.Errorf("it took the network %q", req.Start.Network)
		}
	})
}
