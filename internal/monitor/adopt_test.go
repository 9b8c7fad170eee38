package monitor

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/banger-vm/banger/internal/jsonfile"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/monitor/control"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/fake"
)

// A VMM that cannot be connected to lives: its end is not written down, a kill
// asked for meanwhile ends it as soon as there is a hold of it.
func TestUnreachableVMMIsNotTakenForEnded(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		host := fake.NewHost()
		driver, tries := fake.New(host), 0
		spec := vmm.Spec{Name: "a", Dir: dir}
		if _, err := driver.Start(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
		l := machine.Launch{VMID: "1", BootID: "b", Spec: spec}
		m, err := newMonitor(l, driver, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer m.console.Close()
		host.Hook = func(_ context.Context, at fake.Point, _ vmm.Spec) error {
			if at != fake.AtConnect || tries == 4 {
				return nil
			}
			var x machine.Exit
			if err := jsonfile.Read(dir, control.ExitFile, &x); err == nil {
				t.Errorf("a living VMM has an exit: %+v", x)
			}
			if tries++; tries == 3 {
				m.asked = machine.ExitKilled // as handleKill does
			}
			if tries <= 3 {
				return errors.New("no answer")
			}
			return nil
		}
		if err := m.live(t.Context(), true, nil); err != nil {
			t.Fatal(err)
		}
		s, _ := m.board.get()
		if tries != 4 || s.Exit == nil || s.Exit.Reason != machine.ExitKilled {
			t.Errorf("after %d attempts: %+v", tries, s)
		}
		if _, err := driver.Connect(t.Context(), spec); !errors.Is(err, vmm.ErrNotRunning) {
			t.Errorf("the VMM lives: %v", err)
		}
		time.Sleep(time.Minute) // the agent's client gives its attempt up
	})
}

// A clock that is set back hides nothing.
func TestVersionsGoOnFromTheLastMonitors(t *testing.T) {
	const ahead = 1 << 60
	dir := t.TempDir()
	if err := jsonfile.Write(dir, statusFile, machine.Status{BootID: "b", Version: ahead}); err != nil {
		t.Fatal(err)
	}
	s := machine.Status{BootID: "b"}
	restore(dir, &s)
	if got, _ := newBoard(s).get(); got.Version <= ahead {
		t.Errorf("version %d hides behind %d", got.Version, uint64(ahead))
	}
}

// In a directory that is not where its VM was started nothing runs, unless it was
// moved with all that runs there.
func TestMovedDirectory(t *testing.T) {
	for _, moved := range []bool{false, true} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			driver, spec := fake.New(fake.NewHost()), vmm.Spec{Name: "a", Dir: dir}
			if moved {
				if _, err := driver.Start(t.Context(), spec); err != nil {
					t.Fatal(err)
				}
			}
			m, err := newMonitor(machine.Launch{VMID: "1", BootID: "b", Spec: spec}, driver, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer m.console.Close()
			m.movedFrom, m.asked = "/old", machine.ExitKilled
			if err := m.live(t.Context(), true, nil); err != nil && moved {
				t.Fatal(err)
			}
			var x machine.Exit
			if err := jsonfile.Read(dir, control.ExitFile, &x); err != nil {
				t.Fatal(err)
			}
			want := machine.Exit{Reason: machine.ExitMoved, Detail: "that was in /old"}
			if moved {
				want = machine.Exit{Reason: machine.ExitKilled}
			}
			if x.Reason != want.Reason || x.Detail != want.Detail {
				t.Errorf("moved %v: %+v", moved, x)
			}
			time.Sleep(time.Minute) // the agent's client gives its attempt up
		})
	}
}

func TestSameDir(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	link := filepath.Join(other, "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if !sameDir(dir, link) || !sameDir(dir, dir+"/") || sameDir(dir, other) || sameDir(filepath.Join(dir, "gone"), dir) {
		t.Error("directories are not told apart")
	}
}
