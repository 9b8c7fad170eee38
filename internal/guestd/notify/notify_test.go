package notify

import (
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/guest/wire"
)

func TestWords(t *testing.T) {
	for _, action := range []wire.Halt{wire.HaltPoweroff, wire.HaltReboot} {
		if got, ok := ParseHalted(Halted(action)); !ok || got != action {
			t.Errorf("%s became %q, %v", action, got, ok)
		}
	}
	for _, word := range []string{"", Ready, "halted", "halted ", "halted explode", "poweroff"} {
		if got, ok := ParseHalted(word); ok {
			t.Errorf("%q is taken for %q", word, got)
		}
	}
	if pid, ok := ParseSession(Session(7)); !ok || pid != 7 {
		t.Errorf("%d, %v", pid, ok)
	}
	for _, word := range []string{"session ", "session x", "session -1", "session 0", "7"} {
		if pid, ok := ParseSession(word); ok {
			t.Errorf("%q is taken for %d", word, pid)
		}
	}
	if got, ok := ParseNote(Note("two\nlines")); !ok || strings.Contains(got, "\n") {
		t.Errorf("%q, %v", got, ok)
	}
}
