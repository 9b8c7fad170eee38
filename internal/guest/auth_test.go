package guest

import (
	"encoding/json"
	"testing"

	"github.com/banger-vm/banger/internal/credential"
	"github.com/banger-vm/banger/internal/guest/wire"
)

// What a guest tells of its user's own is bounded and fit to be shown.
func FuzzAuthReport(f *testing.F) {
	f.Add([]byte(`{"protocol":1,"phase":"ready","notes":["a"],"auth":{"id":"1","problems":["b"],"files":["","c"]}}`))
	f.Add([]byte(`{"protocol":1,"phase":"ready","auth":{"id":"\u001b"}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var h wire.Hello
		if json.Unmarshal(line, &h) != nil || checkHello(h) != nil || h.Auth == nil {
			return
		}
		if len(h.Auth.Problems) > maxProblems || len(h.Auth.Files) > credential.MaxFiles {
			t.Errorf("%+v", h.Auth)
		}
		for _, text := range append(h.Auth.Problems, h.Auth.Files...) {
			if !printable(text, wire.MaxReason) {
				t.Errorf("%q", text)
			}
		}
	})
}
