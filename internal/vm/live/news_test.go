package live

import (
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/forward"
	"github.com/banger-vm/banger/internal/machine"
)

func TestWhatIsNew(t *testing.T) {
	const starting, running, paused, stopping = machine.PhaseStarting, machine.PhaseRunning, machine.PhasePaused, machine.PhaseStopping
	for name, c := range map[string]struct {
		old, next machine.Status
		want      string
	}{
		"nothing":          {machine.Status{Phase: running, SystemMS: 3}, machine.Status{Phase: running, SystemMS: 3, Version: 9}, ""},
		"the agent":        {machine.Status{Phase: starting}, machine.Status{Phase: running}, "running"},
		"all at once":      {machine.Status{Phase: starting}, machine.Status{Phase: running, SystemMS: 3}, "running system_ready"},
		"the system":       {machine.Status{Phase: running}, machine.Status{Phase: running, SystemMS: 3}, "system_ready"},
		"a pause":          {machine.Status{Phase: running}, machine.Status{Phase: paused}, "paused"},
		"its end":          {machine.Status{Phase: paused}, machine.Status{Phase: running}, "resumed"},
		"while it boots":   {machine.Status{Phase: paused}, machine.Status{Phase: starting}, "resumed"},
		"a stop of paused": {machine.Status{Phase: paused}, machine.Status{Phase: stopping}, ""},
		"a monitor":        {machine.Status{Phase: running, MonitorPID: 1}, machine.Status{Phase: running, MonitorPID: 2}, "adopted"},
		"a reboot":         {machine.Status{Phase: running, SystemMS: 3}, machine.Status{Phase: starting, Reboots: 1}, "rebooted"},
		"a quick one":      {machine.Status{Phase: running, SystemMS: 3}, machine.Status{Phase: running, SystemMS: 4, Reboots: 1}, "rebooted running system_ready"},

		"a forward":         {machine.Status{Phase: running}, machine.Status{Phase: running, Forwards: []forward.Status{{Port: 1}}}, "forward_opened"},
		"the same":          {machine.Status{Forwards: []forward.Status{{Port: 1}}}, machine.Status{Forwards: []forward.Status{{Port: 1}}}, ""},
		"another port":      {machine.Status{Forwards: []forward.Status{{Port: 1}}}, machine.Status{Forwards: []forward.Status{{Port: 2}}}, "forward_closed forward_opened"},
		"a port in use":     {machine.Status{Forwards: []forward.Status{{Port: 1}}}, machine.Status{Forwards: []forward.Status{{Error: "in use"}}}, "forward_closed forward_failed"},
		"and free again":    {machine.Status{Forwards: []forward.Status{{Error: "in use"}}}, machine.Status{Forwards: []forward.Status{{Port: 1}}}, "forward_opened"},
		"no forward at all": {machine.Status{Forwards: []forward.Status{{Error: "in use"}, {Port: 1, Auto: true}}}, machine.Status{}, "forward_closed"},
	} {
		var got []string
		for _, n := range whatIsNew(c.old, c.next) {
			got = append(got, strings.TrimPrefix(n.Type, "vm."))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
