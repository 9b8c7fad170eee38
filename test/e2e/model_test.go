package e2e

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/banger-vm/banger/api"
)

// TestLongModel does to VMs what comes to mind, in any order, with daemon and
// monitor killed in between, and compares each with what it must be then.
// BANGER_TEST_SEQUENCES is how many VMs, each of some ten deeds, in each of two
// state directories.
func TestLongModel(t *testing.T) {
	usual := int64(3) // a guest of a real VMM takes seconds to boot
	if os.Getenv("BANGER_FAKE") != "" {
		usual = 15
	}
	for name, value := range map[string]string{
		"rapid.checks": strconv.FormatInt(sized(t, "BANGER_TEST_SEQUENCES", usual), 10), "rapid.steps": "10", "rapid.shrinktime": "3m",
	} {
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	for _, half := range []string{"a", "b"} {
		t.Run(half, func(t *testing.T) {
			e := withBusybox(t)
			var sequences, deeds atomic.Int64
			rapid.Check(t, func(rt *rapid.T) {
				m := &model{env: e, t: t, rt: rt, name: fmt.Sprintf("model-%d", sequences.Add(1)), state: gone}
				defer func() {
					deeds.Add(int64(len(m.done)))
					e.banger(t, "rm", "-f", m.name)
				}()
				rt.Repeat(m.actions())
			})
			t.Logf("%d sequences of %d deeds in all", sequences.Load(), deeds.Load())
			if r := e.banger(t, "doctor", "--residue"); r.code != 0 {
				t.Errorf("left over: %s", r)
			}
			if left := e.residue(t); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
		})
	}
}

// model is what a VM must be like after what was done to it.
type model struct {
	*env
	t     *testing.T
	rt    *rapid.T
	name  string
	state api.State
	files int  // what its files hold, 0 while there are none
	lost  bool // those on the root
	done  []string
}

func (m *model) actions() map[string]func(*rapid.T) {
	up := func(s api.State) api.State { // what a start makes of a state
		if s == api.StatePaused {
			return s
		}
		return api.StateRunning
	}
	always := func(to api.State) func(api.State) api.State { return func(api.State) api.State { return to } }
	// only refuses, with exit code 5, what is done to a VM in another state.
	only := func(to api.State, from ...api.State) func(api.State) api.State {
		return func(s api.State) api.State {
			for _, f := range from {
				if s == f {
					return to
				}
			}
			return refusing
		}
	}
	return map[string]func(*rapid.T){
		"":          m.agrees,
		"create":    m.create,
		"start":     m.do(up, "start"),
		"stop":      m.do(always(api.StateStopped), "stop"),
		"kill":      m.do(always(api.StateStopped), "kill"),
		"restart":   m.do(always(api.StateRunning), "restart"),
		"pause":     m.do(only(api.StatePaused, api.StateRunning, api.StatePaused), "pause"),
		"resume":    m.do(only(api.StateRunning, api.StateRunning, api.StatePaused), "resume"),
		"delete":    m.do(only(gone, api.StateStopped), "rm"),
		"delete -f": m.do(always(gone), "rm", "-f"),
		"rename":    m.rename,
		"set":       m.do(func(s api.State) api.State { return s }, "set", "--label", "a=b", "-m", "288M"),
		"reset":     m.reset,
		"write":     m.write,
		"read":      m.read,

		"kill -9 the daemon":  func(*rapid.T) { m.did("kill -9 the daemon"); kill9(m.t, m.daemonPID(m.t)) },
		"kill -9 the monitor": m.killMonitor,
	}
}

// refusing is the state of a VM to which something cannot be done.
const refusing api.State = "refused"

func (m *model) did(what string) { m.done = append(m.done, what) }

// do makes an action of a command; becomes says what state it makes of one.
func (m *model) do(becomes func(api.State) api.State, args ...string) func(*rapid.T) {
	return func(rt *rapid.T) {
		m.did(strings.Join(args, " "))
		want, to := 0, becomes(m.state)
		switch {
		case m.state == gone:
			want, to = 3, gone
		case to == refusing:
			want, to = 5, m.state
		}
		m.runs(want, append(args, m.name)...)
		if to == gone {
			m.files = 0
		}
		m.state = to
	}
}

// runs runs the CLI, which must end with that exit code.
func (m *model) runs(want int, args ...string) string {
	r := m.banger(m.t, args...)
	if r.code != want {
		m.rt.Fatalf("after %q, of a VM that is %s: banger %s: want exit code %d, got %s", m.done, m.state, strings.Join(args, " "), want, r)
	}
	return r.stdout
}

func (m *model) agrees(rt *rapid.T) {
	v := m.inspect(m.t, m.name)
	if v.ID == "" {
		v.State = gone
	}
	if v.State != m.state || v.Operation != "" {
		rt.Fatalf("after %q it is %s (%s), with the operation %q; want %s", m.done, v.State, v.Reason, v.Operation, m.state)
	}
}

func (m *model) create(*rapid.T) {
	m.did("create")
	want := 0
	if m.state != gone {
		want = 4
	} else {
		m.state = api.StateStopped
	}
	m.runs(want, "vm", "create", "-q", "-m", "256M", "-n", m.name)
}

func (m *model) rename(*rapid.T) {
	m.did("rename")
	name := m.name + "x"
	if len(name) > 40 {
		name = strings.TrimRight(m.name, "x")
	}
	if m.state == gone {
		m.runs(3, "rename", m.name, name)
		return
	}
	m.runs(0, "rename", m.name, name)
	m.name = name
}

// reset drops the root of a VM that does not run, and not its home.
func (m *model) reset(*rapid.T) {
	m.did("reset")
	switch m.state {
	case gone:
		m.runs(3, "reset", m.name)
	case api.StateStopped:
		m.runs(0, "reset", m.name)
		m.lost = m.files > 0
	default:
		m.runs(5, "reset", m.name)
	}
}

// write writes what must outlive everything but the VM's end.
func (m *model) write(rt *rapid.T) {
	if m.state != api.StateRunning {
		rt.Skip()
	}
	m.did("write")
	m.files++
	m.lost = false
	m.runs(0, "exec", "-u", "root", m.name, "--", "sh", "-c", fmt.Sprintf("for d in %s; do echo %d >${d}model; done; sync", homes, m.files))
}

func (m *model) read(rt *rapid.T) {
	if m.state != api.StateRunning || m.files == 0 {
		rt.Skip()
	}
	m.did("read")
	want := strings.Repeat(strconv.Itoa(m.files)+"\n", 2)
	if m.lost {
		want = "none\n" + strconv.Itoa(m.files) + "\n"
	}
	if got := m.runs(0, "exec", "-u", "root", m.name, "--", "sh", "-c", fmt.Sprintf("for d in %s; do cat ${d}model 2>/dev/null || echo none; done", homes)); got != want {
		rt.Fatalf("after %q its files are %q, want %q", m.done, got, want)
	}
}

func (m *model) killMonitor(rt *rapid.T) {
	v := m.inspect(m.t, m.name)
	if v.Boot == nil || v.Boot.MonitorPID == 0 || m.state == gone || m.state == api.StateStopped {
		rt.Skip()
	}
	m.did("kill -9 the monitor")
	kill9(m.t, v.Boot.MonitorPID)
}
