package reaper

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/banger-vm/banger/internal/doctor/residue"
	"github.com/banger-vm/banger/internal/event"
	"github.com/banger-vm/banger/internal/hostexec"
)

type said struct{ types, messages []string }

func (s *said) Publish(e event.Event) {
	s.types, s.messages = append(s.types, e.Type), append(s.messages, e.Message)
}

func sleeper(t *testing.T) (*exec.Cmd, hostexec.ID) {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	id, err := hostexec.Identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return cmd, id
}

func TestActsOnWhatIsSure(t *testing.T) {
	dir := t.TempDir()
	gone, kept, file := filepath.Join(dir, "gone"), filepath.Join(dir, "kept"), filepath.Join(dir, "file")
	for _, d := range []string{gone + "/in", kept} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	outside := filepath.Join(t.TempDir(), "outside")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.WriteFile(outside, nil, 0o600), os.Symlink(outside, gone+"/in/link")); err != nil {
		t.Fatal(err)
	}
	stray, id := sleeper(t)
	other, otherID := sleeper(t)
	reused := otherID
	reused.StartTime++ // the process that was found has ended, and another has its pid
	found := []residue.Stray{
		{Kind: residue.Process, What: strconv.Itoa(id.PID), Why: "a", Sure: true, Process: id},
		{Kind: residue.Process, What: strconv.Itoa(otherID.PID), Why: "b", Sure: true, Process: reused},
		{Kind: residue.Directory, What: gone, Why: "c", Sure: true},
		{Kind: residue.File, What: file, Why: "d", Sure: true},
		{Kind: residue.Directory, What: kept, Why: "e"},
		{Kind: residue.Record, What: "VM web", Why: "f", Sure: true},
	}
	var s said
	r := New(func(context.Context) ([]residue.Stray, error) { return found, nil }, &s, slog.New(slog.DiscardHandler), Config{})
	for range 2 { // what is left is told once
		if err := r.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		found = slices.DeleteFunc(found, func(s residue.Stray) bool { return s.Sure && s.Kind != residue.Record })
	}
	if err := stray.Wait(); err == nil || stray.ProcessState.ExitCode() != -1 {
		t.Errorf("the stray process: %v", err)
	}
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the other process: %v", err)
	}
	for path, want := range map[string]bool{gone: false, file: false, kept: true, outside: true} {
		if _, err := os.Lstat(path); (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
	if want := []string{"daemon.reaped", "daemon.reaped", "daemon.reaped", "daemon.stray", "daemon.stray"}; !slices.Equal(s.types, want) {
		t.Errorf("it said %q", s.messages)
	}
}

func TestLooksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		ctx, cancel := context.WithTimeout(t.Context(), 35*time.Minute)
		defer cancel()
		New(func(context.Context) ([]residue.Stray, error) {
			looks++
			return nil, errors.New("a bad moment")
		}, new(said), slog.New(slog.DiscardHandler), Config{}).Run(ctx)
		if looks != 4 { // at once, and every ten minutes
			t.Errorf("it looked %d times", looks)
		}
	})
}
