package vm_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/forward"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/spec"
)

// forwards is what inspect shows of a VM's, a word each.
func (r *rig) forwards(name string) (all []string) {
	r.t.Helper()
	v, err := r.vms.Inspect(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, s := range v.Forwards {
		text := s.Forward.String() + "@" + strconv.Itoa(s.Port)
		if s.Auto {
			text += " auto"
		}
		all = append(all, text)
	}
	return all
}

func (r *rig) has(name string, want ...string) {
	r.t.Helper()
	r.await(fmt.Sprint(want), func() bool { return slices.Equal(r.forwards(name), want) })
}

func (r *rig) forward(name string, auto *bool, more ...forward.Forward) operation.Record {
	r.t.Helper()
	return r.done(r.vms.Forward(r.t.Context(), name, more, auto, ""))
}

func (r *rig) unforward(name string, which ...forward.Forward) operation.Record {
	r.t.Helper()
	return r.done(r.vms.Unforward(r.t.Context(), name, which, ""))
}

// free is a port that nobody has.
func free(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// hold listens on a port until the test ends.
func hold(t *testing.T, port int) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// Forwards of a stopped VM come with its start, those of a running one at once;
// they are kept over starts and daemons.
func TestForwards(t *testing.T) {
	r := newRig(t)
	web := forward.Forward{HostPort: free(t), GuestPort: 80}
	r.ok(r.create(spec.VM{Name: "a", Image: "debian", Forwards: []forward.Forward{web}}, false))
	text := web.String()
	r.has("a", text+"@0")
	if op := r.forward("a", nil, forward.Forward{GuestPort: 22}); op.State != operation.Succeeded {
		t.Fatal(op.Error)
	}
	r.has("a", text+"@0", "0:22@0")
	r.ok(r.vms.Boot(t.Context(), "a", vm.Start{}, ""))
	r.has("a", text+"@"+strconv.Itoa(web.HostPort), "0:22@40001")
	if op := r.forward("a", new(true), forward.Forward{Address: "0.0.0.0", HostPort: free(t), GuestPort: 443}); op.State != operation.Succeeded {
		t.Fatal(op.Error)
	}
	if got := r.forwards("a"); len(got) != 4 || !strings.Contains(got[2], "0.0.0.0:") || got[3] != "0:3000@3000 auto" {
		t.Fatalf("%q", got)
	}
	r.close()
	r.open() // another daemon
	r.await("the next daemon to know", func() bool { return len(r.forwards("a")) == 4 })
	l, err := r.vms.Listening(t.Context(), "a")
	if err != nil || len(l.Forwards) != 4 || len(l.Guest.All) != 1 || l.Guest.All[0].Process != "httpd" {
		t.Errorf("%+v, %v", l, err)
	}
	if op := r.unforward("a", forward.Forward{HostPort: 40001}, web); op.State != operation.Succeeded {
		t.Fatal(op.Error)
	}
	if got := r.forwards("a"); len(got) != 2 {
		t.Errorf("two are not gone: %q", got)
	}
	if op := r.forward("a", new(false)); op.State != operation.Succeeded {
		t.Fatal(op.Error)
	}
	if got := r.forwards("a"); len(got) != 1 {
		t.Errorf("the automatic one is not gone: %q", got)
	}
	r.await("4 to be told open, 3 closed", func() bool {
		all := strings.Join(r.told("a"), " ")
		return strings.Count(all, "forward_opened") == 4 && strings.Count(all, "forward_closed") == 3
	})
	if _, err := r.vms.Unforward(t.Context(), "a", []forward.Forward{web}, ""); fault.KindOf(err) != fault.NotFound {
		t.Errorf("one that is gone: %v", err)
	}
	if _, err := r.vms.Forward(t.Context(), "a", []forward.Forward{{HostPort: 1}}, nil, ""); fault.KindOf(err) != fault.Invalid {
		t.Errorf("no guest port: %v", err)
	}
	if _, err := r.create(spec.VM{Name: "b", Image: "debian", Forwards: []forward.Forward{{HostPort: 1}}}, false); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a VM with an impossible one: %v", err)
	}
	if _, err := r.vms.Listening(t.Context(), "nope"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("%v", err)
	}
}

// A port that is in use fails the start, or the change, and says who has it;
// nothing is changed then.
func TestPortInUse(t *testing.T) {
	r := newRig(t)
	web := forward.Forward{HostPort: free(t), GuestPort: 80}
	r.ok(r.create(spec.VM{Name: "a", Image: "debian", Forwards: []forward.Forward{web}}, false))
	l := hold(t, web.HostPort)
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	mine := fmt.Sprintf("port %d is in use by %s (pid %d)", web.HostPort, strings.TrimSpace(string(comm)), os.Getpid())
	op := r.done(r.vms.Boot(t.Context(), "a", vm.Start{}, ""))
	if op.State != operation.Failed || op.Error.Kind != fault.Busy || op.Error.Message != mine {
		t.Errorf("a start: %v", op.Error)
	}
	if state, reason := r.state("a"); state != "stopped" || r.host.Launches() != 0 {
		t.Errorf("%s %s, %d launches", state, reason, r.host.Launches())
	}
	l.Close()
	r.ok(r.vms.Boot(t.Context(), "a", vm.Start{}, ""))
	r.ok(r.create(spec.VM{Name: "b", Image: "debian"}, true))
	l = hold(t, web.HostPort) // in the place of a's monitor
	op = r.forward("b", nil, web)
	if op.State != operation.Failed || op.Error.Kind != fault.Busy || !strings.Contains(op.Error.Message, "in use by the VM a, for its port 80") {
		t.Errorf("another VM has it: %v", op.Error)
	}
	r.has("b")
	l.Close()
	r.host.ForwardHook = func() error { return errors.New("it broke") }
	if op := r.forward("b", nil, forward.Forward{GuestPort: 80}); op.State != operation.Failed || !strings.Contains(op.Error.Message, "it broke") {
		t.Errorf("%v", op.Error)
	}
	r.has("b")
	r.host.ForwardHook = nil
	r.host.End(r.vmDir("b"), "killed") // just now: it has them from its next start on
	if op := r.forward("b", nil, forward.Forward{GuestPort: 80}); op.State != operation.Succeeded {
		t.Error(op.Error)
	}
	r.await("it to be kept", func() bool { return len(r.forwards("b")) == 1 })
}

// The host's default counts for VMs that do not say.
func TestAutoForwardByDefault(t *testing.T) {
	d := spec.Defaults{AutoForward: true}
	if !(spec.VM{}).WithDefaults(d).AutoForwards() || (spec.VM{AutoForward: new(false)}).WithDefaults(d).AutoForwards() {
		t.Error("the host's default does not count, or counts too much")
	}
	if (spec.VM{}).WithDefaults(spec.Defaults{}).AutoForwards() || !(spec.VM{AutoForward: new(true)}).WithDefaults(spec.Defaults{}).AutoForwards() {
		t.Error("banger's own default is not off")
	}
}
