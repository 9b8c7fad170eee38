package execs_test

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/guestd/execs"
	"github.com/banger-vm/banger/test/guestrig"
)

// rig is the service with a way to it for clients.
type rig struct {
	t     *testing.T
	execs *execs.Server
	dial  client.ExecDialer
}

func newRig(t *testing.T, cfg execs.Config) *rig {
	log := slog.New(slog.DiscardHandler)
	r := &rig{t: t, execs: execs.New(log, cfg)}
	r.dial = guestrig.Dialer(guestrig.Serve(t, r.execs).Exec)
	t.Cleanup(func() {
		r.execs.Close()
		eventually(t, "the commands end", func() bool { return r.execs.Running() == 0 })
	})
	return r
}

func (r *rig) start(spec api.ExecSpec, cfg client.ExecConfig) *client.Exec {
	r.t.Helper()
	if spec.User == "" {
		spec.User = "root"
	}
	x, err := client.StartExec(r.t.Context(), r.dial, client.NewExecID(), spec, cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	return x
}

// run runs a shell's script and returns its output and exit.
func (r *rig) run(spec api.ExecSpec, script string) (string, api.ExecExit) {
	r.t.Helper()
	var out bytes.Buffer
	spec.Argv = []string{"sh", "-c", script}
	exit, err := r.start(spec, client.ExecConfig{Stdout: &out, Stderr: &out}).Wait()
	if err != nil {
		r.t.Fatal(err)
	}
	return out.String(), exit
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for begin := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("never: %s", what)
		}
	}
}
