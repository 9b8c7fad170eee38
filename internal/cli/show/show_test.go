package show

import (
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/api"
)

func TestSafe(t *testing.T) {
	for in, want := range map[string]string{
		"plain ünï":       "plain ünï",
		"a\x1b[2Jb\r\n":   `a\x1b[2Jb\x0d\x0a`,
		"\xff\xfe":        `\xff\xfe`,
		"a\u202eb\u200bc": `a\u202eb\u200bc`,
		"\u009b31m":       `\u009b31m`,
	} {
		if got := Safe(in); got != want {
			t.Errorf("Safe(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	table := NewTable("NAME", "STATE")
	table.Row("a", "running")
	table.Row("größer\x07", "")
	if err := table.Write(&b); err != nil {
		t.Fatal(err)
	}
	if want := "NAME        STATE\na           running\ngrößer\\x07  -\n"; b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestFields(t *testing.T) {
	var b strings.Builder
	if err := Fields(&b, "Name", "a\nb", "Empty", "", "Longer", "x"); err != nil {
		t.Fatal(err)
	}
	if want := "Name:   a\\x0ab\nLonger: x\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestProgressLines(t *testing.T) {
	now := time.Unix(0, 0)
	var b strings.Builder
	p := NewProgress(&b, 0, func() time.Time { return now })
	at := func(d time.Duration, g api.Progress) {
		now = time.Unix(0, 0).Add(d)
		p.Update(api.Operation{State: api.OpRunning, Progress: g})
	}
	at(0, api.Progress{Phase: "quick"})
	at(2*time.Second, api.Progress{Phase: "installing", Done: 1, Total: 9, Unit: "packages"})
	at(2100*time.Millisecond, api.Progress{Phase: "too soon"})
	at(4*time.Second, api.Progress{Phase: "installing", Done: 5, Total: 9, Unit: "packages"})
	at(5*time.Second, api.Progress{Phase: "writing\x1b", Done: 1 << 20, Total: 2 << 20, Unit: "bytes"})
	at(30*time.Second, api.Progress{Phase: "writing\x1b", Done: 1536 << 10, Unit: "bytes"})
	p.Clear()
	want := "installing 1 of 9 packages\nwriting\\x1b 1M of 2M\nwriting\\x1b 1.5M\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestProgressOnATerminal(t *testing.T) {
	var b strings.Builder
	p := NewProgress(&b, 40, time.Now)
	p.Update(api.Operation{State: api.OpRunning, Progress: api.Progress{Phase: "half", Done: 1, Total: 2}})
	p.Update(api.Operation{State: api.OpRunning, Progress: api.Progress{Phase: strings.Repeat("long ", 20)}})
	p.Clear()
	lines := strings.Split(b.String(), "\r\x1b[K")
	if lines[1] != "[============            ] half 1 of 2" || len(lines[2]) != 39 || lines[3] != "" {
		t.Errorf("got %q", lines)
	}
}

// What a guest's network refused is told, most first, then the last ones.
func TestRefused(t *testing.T) {
	var b strings.Builder
	err := VM(&b, api.VM{Name: "dev", Reaches: []string{"The Internet."}, Refused: &api.VMRefused{
		Counts: []api.RefusedCount{{Why: "10.0.0.0/8", Count: 7}, {Why: "::1/128", Count: 1}},
		Last:   []api.RefusedAttempt{{At: time.Unix(0, 0), Protocol: "tcp", To: "10.1.2.3:80", Why: "10.0.0.0/8"}},
	}})
	at := time.Unix(0, 0).Format("15:04:05")
	for _, want := range []string{"Reaches:      The Internet.\n", "Refused:      7 (10.0.0.0/8)\nRefused:      1 (::1/128)\n", "Refused last: tcp 10.1.2.3:80 at " + at + " (10.0.0.0/8)\n"} {
		if err != nil || !strings.Contains(b.String(), want) {
			t.Errorf("there is no %q in %v\n%s", want, err, b.String())
		}
	}
}
