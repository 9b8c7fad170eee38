package cli

import (
	"bufio"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/creack/pty"

	"github.com/banger-vm/banger/api"
)

// onTerminal starts a command on a terminal, and reads until it has said a word.
func onTerminal(t *testing.T, cmd *exec.Cmd, word string) (tty io.ReadWriter, said string) {
	t.Helper()
	f, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 30, Cols: 200})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	r := bufio.NewReader(f)
	for !strings.Contains(said, word) {
		b, err := r.ReadByte()
		if err != nil {
			t.Fatalf("%v after %q", err, said)
		}
		said += string(b)
	}
	return struct {
		io.Reader
		io.Writer
	}{r, f}, said
}

// On a terminal prune asks; only a yes removes something.
func TestPruneAsks(t *testing.T) {
	for answer, code := range map[string]int{"\n": 1, "n\n": 1, "yess\n": 1, "y\n": 0, "YES\n": 0} {
		cmd, f := prepare(t, "prune")
		tty, said := onTerminal(t, cmd, "[y/N] ")
		if !strings.Contains(said, "Remove all of these, 40M?") || !strings.Contains(said, "old") || strings.Contains(said, "web") {
			t.Errorf("it asks %q", said)
		}
		if _, err := io.WriteString(tty, answer); err != nil {
			t.Fatal(err)
		}
		go io.Copy(io.Discard, tty)
		if got := exitCode(t, cmd.Wait()); got != code {
			t.Errorf("%q: exit code %d, want %d", answer, got, code)
		}
		f.mu.Lock()
		old, web := f.vms["old"], f.vms["web"]
		f.mu.Unlock()
		if (old == nil) != (code == 0) || web == nil || web.State != api.StateRunning {
			t.Errorf("%q: old is %+v, web %+v", answer, old, web)
		}
	}
}

// On a terminal stats draws in the same place; what is there goes line by line,
// and nothing is left below.
func TestStatsRedraws(t *testing.T) {
	cmd, _ := prepare(t, "stats", "-f", "-c", "2", "-i", "10ms")
	cmd.Env = append(cmd.Env, "TERM=xterm")
	_, said := onTerminal(t, cmd, "\x1b[J")
	if !strings.HasPrefix(said, "\x1b[HNAME") || !strings.Contains(said, "\x1b[K\r\nweb ") {
		t.Errorf("%q", said)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
