package comeback

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/spec"
)

// world is VMs, their store and their operations in one; a start takes a second.
type world struct {
	mu      sync.Mutex
	vms     map[string]*vm.Record
	ops     map[string]operation.Record // by key
	begun   []string                    // when, and of which VM
	told    []string
	begin   time.Time
	running int
	most    int

	fails   func(r *vm.Record) error // before a boot
	outcome operation.State          // of a start that boots; "" is success
	refuse  error                    // of beginning one
	hang    bool                     // starts do not end
}

func newWorld(records ...vm.Record) *world {
	w := &world{vms: map[string]*vm.Record{}, ops: map[string]operation.Record{}, begin: time.Now()}
	for _, r := range records {
		r.Made = true
		w.vms[r.ID] = &r
	}
	return w
}

func (w *world) ChangeVM(_ context.Context, id string, change func(*vm.Record) bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.vms[id]
	if r == nil {
		return fault.New(fault.NotFound, "", "there is no VM %q", id)
	}
	c := clone(*r)
	if change(&c) {
		w.vms[id] = &c
	}
	return nil
}

func clone(r vm.Record) vm.Record {
	if r.Comeback != nil {
		r.Comeback = new(*r.Comeback)
	}
	if r.Boot != nil {
		r.Boot = new(*r.Boot)
	}
	return r
}

func (w *world) VMByID(_ context.Context, id string) (vm.Record, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r := w.vms[id]; r != nil {
		return clone(*r), nil
	}
	return vm.Record{}, fault.New(fault.NotFound, "", "there is no VM %q", id)
}

func (w *world) VMs(context.Context) (all []vm.Record, _ error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.vms {
		all = append(all, clone(*r))
	}
	slices.SortFunc(all, func(a, b vm.Record) int { return len(a.ID) - len(b.ID) })
	return all, nil
}

func (w *world) Publish(id, kind, _ string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, id+" "+kind)
}

func (w *world) BootUnasked(_ context.Context, id, key string) (operation.Record, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuse != nil {
		err := w.refuse
		return operation.Record{}, err
	}
	if op, ok := w.ops[key]; ok {
		return op, nil
	}
	w.begun = append(w.begun, fmt.Sprintf("%s %s", id, time.Since(w.begin)))
	w.running++
	w.most = max(w.most, w.running)
	op := operation.Record{ID: key, Target: id, State: operation.Running}
	w.ops[key] = op
	return op, nil
}

// Wait ends a start after a second.
func (w *world) Wait(ctx context.Context, id string) (operation.Record, error) {
	took := time.Second
	if w.hang {
		took = 24 * time.Hour
	}
	select {
	case <-ctx.Done():
		return operation.Record{}, context.Cause(ctx)
	case <-time.After(took):
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	op := w.ops[id]
	if op.State.Final() {
		return op, nil
	}
	w.running--
	r := clone(*w.vms[op.Target])
	op.State = operation.Succeeded
	var err error
	if w.fails != nil {
		err = w.fails(&r)
	}
	switch {
	case err != nil:
		op.State, op.Error = operation.Failed, fault.From(err)
	case w.outcome != "":
		op.State, op.Error = w.outcome, fault.New(fault.Canceled, "", "it was cancelled")
	default:
		r.Boot = &vm.Boot{ID: r.Boot.ID + "'", StartedAt: time.Now(), Status: &machine.Status{ReadyMS: 1000}, Host: r.Boot.Host}
		r.Halted = false
	}
	w.vms[r.ID], w.ops[id] = &r, op
	return op, nil
}

// starts are those that were begun.
func (w *world) starts() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.begun)
}

// failing has all starts fail before a boot; nil ends that.
func (w *world) failing(fails func(*vm.Record) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fails = fails
}

// heard are the events.
func (w *world) heard() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.told)
}

// end ends a VM's boot.
func (w *world) end(id, reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := clone(*w.vms[id])
	r.Boot.Exit = &machine.Exit{BootID: r.Boot.ID, Reason: reason, At: time.Now()}
	w.vms[id] = &r
}

func (w *world) get(id string) vm.Record {
	r, err := w.VMByID(context.Background(), id)
	if err != nil {
		panic(err)
	}
	return r
}

func (w *world) keeper(t *testing.T, cfg Config) *Keeper {
	if cfg.BootFile == "" {
		cfg.BootFile = filepath.Join(t.TempDir(), "host-boot")
	}
	return New(w, w, w, slog.New(slog.DiscardHandler), cfg)
}

// crashed is a VM whose first boot has crashed.
func crashed(id string, policy spec.Restart) vm.Record {
	return vm.Record{
		ID: id, Spec: spec.VM{Name: id, Restart: policy},
		Boot: &vm.Boot{ID: "b", StartedAt: time.Now(), Exit: &machine.Exit{BootID: "b", Reason: machine.ExitCrashed, At: time.Now()}},
	}
}

// The pauses double up to the longest, and begin anew after a boot that lasted.
func TestPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(crashed("a", "on-failure"))
		k := w.keeper(t, Config{Longest: 400 * time.Millisecond})
		defer k.Close()
		if err := k.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 4 { // up for a moment each
			time.Sleep(3 * time.Second)
			w.end("a", machine.ExitPanic)
			k.Ended("a")
		}
		time.Sleep(15 * time.Second) // long enough
		w.end("a", machine.ExitPanic)
		k.Ended("a")
		time.Sleep(3 * time.Second)
		want := []string{"a 100ms", "a 3.2s", "a 6.4s", "a 9.4s", "a 12.4s", "a 27.1s"}
		if !slices.Equal(w.starts(), want) {
			t.Errorf("starts at %q, want %q", w.starts(), want)
		}
		if b := w.get("a").Comeback; b.Total != 6 || b.Row != 1 || !b.Next.IsZero() {
			t.Errorf("%+v", b)
		}
	})
}

// Starts that fail before a boot count, and say why; what a user cancelled is
// not begun again.
func TestFailedStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(crashed("a", "on-failure:3"))
		w.failing(func(*vm.Record) error { return fault.New(fault.Precondition, "", "the kernel is gone") })
		k := w.keeper(t, Config{})
		defer k.Close()
		k.Ended("a")
		time.Sleep(time.Hour)
		b := w.get("a").Comeback
		if len(w.starts()) != 3 || !b.GaveUp || b.Why != "the kernel is gone" {
			t.Errorf("%q, %+v", w.starts(), b)
		}
		if want := []string{"a vm.comes_back", "a vm.comes_back", "a vm.comes_back", "a vm.stays_down"}; !slices.Equal(w.heard(), want) {
			t.Errorf("%q", w.heard())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(crashed("a", "always"))
		w.outcome = operation.Canceled
		k := w.keeper(t, Config{})
		defer k.Close()
		k.Ended("a")
		time.Sleep(time.Hour)
		if r := w.get("a"); len(w.starts()) != 1 || !r.Halted || r.Comeback != nil {
			t.Errorf("%q, %+v", w.starts(), r)
		}
	})
}

// An operation that has the VM is waited for; then it may be as it is to be.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(crashed("a", "always"))
		busy := fault.New(fault.Busy, "", "vm.start is under way")
		busy.Operation = "other"
		w.refuse = busy
		w.ops["other"] = operation.Record{ID: "other", Target: "a", State: operation.Running}
		k := w.keeper(t, Config{})
		defer k.Close()
		k.Ended("a")
		time.Sleep(time.Minute)
		if r := w.get("a"); !r.MayRun() || len(w.starts()) != 0 || r.Comeback.Total != 0 {
			t.Errorf("%q, %+v", w.starts(), r.Comeback)
		}
	})
}

// Whenever a keeper ends, the next one goes on: one start for each end.
func TestNextKeeper(t *testing.T) {
	for _, at := range []time.Duration{50 * time.Millisecond, 100 * time.Millisecond, 600 * time.Millisecond, 1100 * time.Millisecond, 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(crashed("a", "always"))
			k := w.keeper(t, Config{})
			k.Ended("a")
			time.Sleep(at)
			synctest.Wait()
			k.Close()
			k = w.keeper(t, Config{})
			defer k.Close()
			if err := k.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if r := w.get("a"); !r.MayRun() || len(w.starts()) != 1 || r.Comeback.Total != 1 {
				t.Errorf("ended after %v: %q, %+v", at, w.starts(), r.Comeback)
			}
		})
	}
}

// With the host start those that are marked, a few at a time and one after the
// other, once for each of its starts.
func TestWithHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []vm.Record
		for i := range 6 {
			r := crashed(fmt.Sprintf("%*s", i+1, "x"), "")
			r.Spec.Autostart, r.Halted = true, true
			all = append(all, r)
		}
		w := newWorld(all...)
		cfg := Config{Host: vm.Host{Boot: "h1"}, BootFile: filepath.Join(t.TempDir(), "host-boot"), Apart: 100 * time.Millisecond}
		k := w.keeper(t, cfg)
		if err := k.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		k.Close()
		if len(w.starts()) != 6 || w.most != 2 || w.starts()[0] != "x 0s" || w.starts()[1] != " x 100ms" {
			t.Errorf("%q, %d at once", w.starts(), w.most)
		}
		for _, r := range all {
			w.end(r.ID, machine.ExitPoweroff)
		}
		again := func(boot string) int {
			before := len(w.starts())
			cfg.Host.Boot = boot
			k := w.keeper(t, cfg)
			defer k.Close()
			if err := k.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			return len(w.starts()) - before
		}
		if n := again("h1"); n != 0 {
			t.Errorf("%d were started in the same boot of the host", n)
		}
		w.failing(func(*vm.Record) error { return errors.New("no") })
		if n := again("h2"); n != 6 {
			t.Errorf("%d were started with the host", n)
		}
		w.failing(nil)
		if n := again("h2"); n != 0 {
			t.Errorf("%d that failed were started again", n)
		}
		if n := again("h3"); n != 6 {
			t.Errorf("%d were started with the host's next start", n)
		}
	})
}

// Starts that hang hold the others up only for a while.
func TestStartsThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(crashed("a", "always"), crashed("bb", "always"), crashed("ccc", "always"))
		w.hang = true
		k := w.keeper(t, Config{})
		defer k.Close()
		if err := k.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		if n := len(w.starts()); n != 2 {
			t.Errorf("%d at once", n)
		}
		time.Sleep(time.Minute)
		if n := len(w.starts()); n != 3 {
			t.Errorf("%d were begun", n)
		}
	})
}

// Where the host's last start cannot be read, or not be kept, VMs are started
// with this one all the same, and those that were are not once more.
func TestBootFile(t *testing.T) {
	for _, path := range []string{t.TempDir(), filepath.Join(t.TempDir(), "none", "file")} {
		synctest.Test(t, func(t *testing.T) {
			r := crashed("a", "")
			r.Spec.Autostart = true
			w := newWorld(r)
			w.fails = func(r *vm.Record) error { r.Boot.Host.Boot = "h"; return nil }
			for range 3 {
				k := w.keeper(t, Config{Host: vm.Host{Boot: "h"}, BootFile: path})
				if err := k.Start(t.Context()); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Minute)
				k.Close()
				if w.get("a").MayRun() {
					w.end("a", machine.ExitStopped)
				}
			}
			if n := len(w.starts()); n != 1 {
				t.Errorf("%d starts", n)
			}
		})
	}
	w := newWorld()
	path := filepath.Join(t.TempDir(), "f")
	if err := w.keeper(t, Config{Host: vm.Host{Boot: "h"}, BootFile: path}).Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "h\n" {
		t.Errorf("%q, %v", data, err)
	}
}

// Whatever happens to a VM in whatever order, it is started only while nobody
// wants it stopped and its policy has it, never more often in a row than that
// has it, and one that is to come back does.
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		policy := rapid.SampledFrom([]spec.Restart{"", "on-failure", "on-failure:2", "always"}).Draw(rt, "policy")
		steps := rapid.SliceOfN(rapid.SampledFrom([]string{"panic", "poweroff", "stop", "start", "fail", "work", "daemon", "wait"}), 1, 30).Draw(rt, "steps")
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(crashed("a", policy))
			w.vms["a"].Halted = true
			k := w.keeper(t, Config{})
			defer func() { k.Close() }()
			for _, s := range steps {
				before := len(w.starts())
				apply(t, w, &k, s)
				if r := w.get("a"); r.Halted && len(w.starts()) > before {
					t.Fatalf("%s: it was started against a user's will", s)
				}
				time.Sleep(10 * time.Minute)
				check(t, w.get("a"), s)
			}
		})
	})
}

func apply(t *testing.T, w *world, k **Keeper, step string) {
	r := w.get("a")
	switch step {
	case "panic", "poweroff":
		if r.MayRun() {
			w.end("a", step)
			(*k).Ended("a")
		}
	case "stop", "start":
		err := w.ChangeVM(t.Context(), "a", func(r *vm.Record) bool {
			r.Comeback, r.Halted = nil, step == "stop"
			switch {
			case step == "start" && !r.MayRun():
				r.Boot = &vm.Boot{ID: r.Boot.ID + "u", StartedAt: time.Now()}
			case step == "stop" && r.MayRun():
				r.Boot.Exit = &machine.Exit{Reason: machine.ExitStopped}
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		(*k).Ended("a")
	case "fail":
		w.failing(func(*vm.Record) error { return errors.New("no") })
	case "work":
		w.failing(nil)
	case "daemon":
		(*k).Close()
		*k = w.keeper(t, Config{})
		if err := (*k).Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// check checks a VM after which nothing happens for a while.
func check(t *testing.T, r vm.Record, step string) {
	t.Helper()
	b := r.Comeback
	if b != nil && r.Spec.Restart.Most() > 0 && b.Row > r.Spec.Restart.Most() {
		t.Fatalf("%s: %d starts in a row", step, b.Row)
	}
	if r.MayRun() || r.Halted {
		return
	}
	failed, byItself := judged(r.Boot.Exit.Reason)
	if !byItself || !r.Spec.Restart.After(failed) {
		if b != nil && !b.Next.IsZero() {
			t.Fatalf("%s: it is to come back: %+v", step, b)
		}
		return
	}
	if b == nil || b.Next.IsZero() && !b.GaveUp {
		t.Fatalf("%s: it is not to come back: %+v", step, b)
	}
}

// However often starts fail, and the host is started meanwhile, each try is a
// start of its own: none is taken for one that failed before.
func TestEachTryIsAStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(crashed("a", "always"))
		w.vms["a"].Spec.Autostart = true
		w.failing(func(*vm.Record) error { return errors.New("no") })
		cfg := Config{BootFile: filepath.Join(t.TempDir(), "host-boot")}
		for host := range 3 {
			cfg.Host.Boot = fmt.Sprint("h", host)
			k := w.keeper(t, cfg)
			if err := k.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10*time.Minute + 30*time.Second) // in a pause
			k.Close()
			if n, b := len(w.starts()), w.get("a").Comeback; n != b.Total {
				t.Fatalf("after %d starts of the host: %d starts, %+v", host+1, n, b)
			}
		}
		w.failing(nil)
		before := len(w.starts())
		k := w.keeper(t, cfg)
		defer k.Close()
		if err := k.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if n := len(w.starts()); n != before+1 || !w.get("a").MayRun() {
			t.Errorf("%d starts, running %v", n-before, w.get("a").MayRun())
		}
	})
}

// A clock that is set back, in a pause or while no daemon is there, keeps a VM
// down for no longer than the longest pause.
func TestClockSetBack(t *testing.T) {
	for name, daemon := range map[string]bool{"in a pause": true, "without a daemon": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(crashed("a", "always"))
				w.failing(func(*vm.Record) error { return errors.New("no") })
				var back atomic.Int64
				cfg := Config{Now: func() time.Time { return time.Now().Add(-time.Duration(back.Load())) }}
				k := w.keeper(t, cfg)
				k.Ended("a")
				time.Sleep(10*time.Minute + 30*time.Second)
				if !daemon {
					k.Close()
				}
				w.failing(nil)
				back.Store(int64(24 * time.Hour))
				if !daemon {
					k = w.keeper(t, cfg)
					k.Ended("a")
				}
				defer k.Close()
				time.Sleep(2*time.Minute + 2*time.Second)
				if r := w.get("a"); !r.MayRun() {
					t.Errorf("%+v", r.Comeback)
				}
			})
		})
	}
}
