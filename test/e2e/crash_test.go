package e2e

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/api"
)

// victims are who is killed with -9.
var victims = map[string]func(t *testing.T, e *env, v api.VM){
	"daemon":  func(t *testing.T, e *env, _ api.VM) { kill9(t, e.daemonPID(t)) },
	"monitor": func(t *testing.T, _ *env, v api.VM) { kill9(t, v.Boot.MonitorPID) },
	"both": func(t *testing.T, e *env, v api.VM) {
		kill9(t, e.daemonPID(t))
		kill9(t, v.Boot.MonitorPID)
	},
}

// A stream goes on, each byte once, whoever is killed in its middle.
func TestLongKilledDuringExec(t *testing.T) {
	e := private(t)
	e.vm(t, "streams")
	data := make([]byte, 24<<20)
	rand.NewChaCha8([32]byte{2}).Read(data)
	want := digest(string(data))
	for who, kill := range victims {
		t.Run(who+" in", func(t *testing.T) {
			v := e.inspect(t, "streams")
			in, half := newHalfway(data)
			out := e.under(t, in, half, func() { kill(t, e, v) }, "exec", "streams", "--", "sha256sum")
			if !strings.HasPrefix(out, want) {
				t.Errorf("the guest got other bytes: %s", out)
			}
		})
		t.Run(who+" out", func(t *testing.T) {
			e.bangerIn(t, string(data), "exec", "streams", "--", "sh", "-c", "cat >data")
			v := e.inspect(t, "streams")
			sink := &halfway{half: make(chan struct{}), at: len(data) / 2}
			e.into(t, sink, sink.half, func() { kill(t, e, v) }, "exec", "streams", "--", "cat", "data")
			if got := digest(sink.buf.String()); got != want {
				t.Errorf("got %d of %d bytes, or others", sink.buf.Len(), len(data))
			}
		})
		after := e.inspect(t, "streams")
		if after.State != api.StateRunning {
			t.Fatalf("after the %s was killed the VM is %s: %s", who, after.State, after.Reason)
		}
	}
}

// halfway is a reader or writer that tells when half its bytes have passed.
type halfway struct {
	buf  bytes.Buffer
	src  *bytes.Reader
	n    int
	at   int
	half chan struct{}
}

func newHalfway(data []byte) (*halfway, chan struct{}) {
	h := &halfway{src: bytes.NewReader(data), at: len(data) / 2, half: make(chan struct{})}
	return h, h.half
}

func (h *halfway) passed(n int) {
	before := h.n
	h.n += n
	if before < h.at && h.n >= h.at {
		close(h.half)
	}
}

func (h *halfway) Read(p []byte) (int, error) {
	n, err := h.src.Read(p)
	h.passed(n)
	return n, err
}

func (h *halfway) Write(p []byte) (int, error) {
	h.passed(len(p))
	return h.buf.Write(p)
}

// under runs banger with a stdin while something happens to its daemon.
func (e *env) under(t *testing.T, stdin io.Reader, moment <-chan struct{}, happens func(), args ...string) string {
	t.Helper()
	var out bytes.Buffer
	e.during(t, stdin, &out, moment, happens, args...)
	return out.String()
}

func (e *env) into(t *testing.T, out io.Writer, moment <-chan struct{}, happens func(), args ...string) {
	t.Helper()
	e.during(t, nil, out, moment, happens, args...)
}

func (e *env) during(t *testing.T, stdin io.Reader, out io.Writer, moment <-chan struct{}, happens func(), args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	cmd := e.command(ctx, args...)
	var errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-moment:
		happens()
	case err := <-ended:
		t.Fatalf("banger %s ended too early: %v: %s", strings.Join(args, " "), err, clip(errs.String()))
	}
	if err := <-ended; err != nil {
		t.Errorf("banger %s: %v: %s", strings.Join(args, " "), err, clip(errs.String()))
	}
}

// A create that is broken off at any instant is finished by the next daemon.
func TestDaemonKilledDuringCreate(t *testing.T) {
	e := private(t)
	e.debian(t)
	for i, pause := range []time.Duration{0, 20, 60, 150, 400, 1200} {
		name := "made-" + string(rune('a'+i))
		pid := e.daemonPID(t)
		e.ok(t, "vm", "create", "--wait=false", "-n", name)
		e.ok(t, "op", "ls")
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		begun := e.command(ctx, "start", name) // may come too early: then only the create is broken off
		if err := begun.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(pause * time.Millisecond)
		kill9(t, pid)
		await(t, name+" to be whole", func() bool {
			v := e.inspect(t, name)
			return (v.State == api.StateRunning || v.State == api.StateStopped) && v.Operation == ""
		})
		_ = begun.Wait() // either is fine
		cancel()
		e.ok(t, "start", name)
		if out := e.ok(t, "exec", name, "--", "echo", "on"); out != "on\n" {
			t.Errorf("%q", out)
		}
		e.ok(t, "rm", "-f", name)
	}
	if left := e.residue(t); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func TestMonitorKilledDuringStart(t *testing.T) {
	e := private(t)
	for i, pause := range []time.Duration{10, 200, 1500} {
		name := "begun-" + string(rune('a'+i))
		e.ok(t, "vm", "create", "-n", name)
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		begun := e.command(ctx, "start", name)
		if err := begun.Start(); err != nil {
			t.Fatal(err)
		}
		var monitor int
		await(t, "a monitor", func() bool {
			monitor = e.monitorOf(t, name)
			return monitor > 0
		})
		time.Sleep(pause * time.Millisecond)
		kill9(t, monitor)
		// Either the boot goes on under a new monitor, or it failed and says so.
		await(t, "the start to end", func() bool { return e.inspect(t, name).Operation == "" })
		v := e.inspect(t, name)
		t.Logf("killed after %d ms: %s %s", pause, v.State, v.Reason)
		_ = begun.Wait() // either is fine
		cancel()
		e.ok(t, "start", name)
		e.ok(t, "exec", name, "--", "true")
		e.ok(t, "rm", "-f", name)
	}
	if left := e.residue(t); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func TestDaemonKilledDuringDelete(t *testing.T) {
	e := private(t)
	for i, pause := range []time.Duration{0, 5, 30, 120} {
		name := "gone-" + string(rune('a'+i))
		e.ok(t, "vm", "create", "-n", name)
		e.ok(t, "start", name)
		pid := e.daemonPID(t)
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		cmd := e.command(ctx, "rm", "-f", name)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(pause * time.Millisecond)
		kill9(t, pid)
		if err := cmd.Wait(); err != nil { // it may have begun or not
			t.Errorf("killed after %d ms: rm: %v: %s", pause, err, clip(errs.String()))
		}
		cancel()
		if r := e.banger(t, "inspect", name); r.code != 3 {
			t.Errorf("killed after %d ms: it is still there: %s", pause, r)
		}
	}
	if left := e.residue(t); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func TestLongMonitorKilledDuringDelete(t *testing.T) {
	e := private(t)
	for i, pause := range []time.Duration{0, 3, 20, 80} {
		name := "left-" + string(rune('a'+i))
		e.vm(t, name)
		monitor := e.inspect(t, name).Boot.MonitorPID
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		cmd := e.command(ctx, "rm", "-f", name)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(pause * time.Millisecond)
		kill9(t, monitor)
		if err := cmd.Wait(); err != nil {
			t.Errorf("killed after %d ms: rm: %v", pause, err)
		}
		cancel()
		if r := e.banger(t, "inspect", name); r.code != 3 {
			t.Errorf("killed after %d ms: it is still there: %s", pause, r)
		}
	}
	if left := e.residue(t); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func TestVMMKilledFromOutside(t *testing.T) {
	e := common(t)
	e.vm(t, "shot")
	kill9(t, e.inspect(t, "shot").Boot.VMMPID)
	await(t, "the end to be seen", func() bool { return e.inspect(t, "shot").State == api.StateStopped })
	v := e.inspect(t, "shot")
	if !strings.Contains(v.Reason, "ended unexpectedly") || !strings.Contains(v.Reason, "signal") {
		t.Errorf("the reason is %q", v.Reason)
	}
	e.ok(t, "start", "shot")
	e.ok(t, "exec", "shot", "--", "true")
}
