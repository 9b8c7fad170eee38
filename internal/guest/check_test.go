package guest

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/banger-vm/banger/internal/guest/wire"
)

// What an agent tells of itself, or refuses with, is shown to people.
func FuzzHello(f *testing.F) {
	f.Add([]byte(`{"protocol":1,"version":"v1","boot_id":"x","phase":"ready","kernel":"6.1","user":"dev","notes":["a"],"init_ms":1.5}`))
	f.Add([]byte(`{"protocol":1,"phase":"halted","halt":"reboot","notes":["\u001b[2J"]}`))
	f.Add([]byte(`{"kind":"busy","message":"no \u202e way"}`))
	control := func(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }
	f.Fuzz(func(t *testing.T, answer []byte) {
		var h wire.Hello
		if json.Unmarshal(answer, &h) == nil && checkHello(h) == nil {
			shown := strings.Join(append(h.Notes, h.Version, h.BootID, h.Kernel, h.User, string(h.Phase), string(h.Halt)), "")
			if strings.ContainsFunc(shown, control) || len(h.Notes) > maxNotes || len(shown) > maxNotes*maxText+6*maxWord {
				t.Errorf("it takes %+v", h)
			}
		}
		var refused wire.ExecFail
		if json.Unmarshal(answer, &refused) == nil {
			if text := refusal(refused).Error(); text == "" || strings.ContainsFunc(text, control) || len(text) > 8*maxText {
				t.Errorf("it is shown as %q", text)
			}
		}
	})
}
