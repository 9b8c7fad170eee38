package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/test/host/call"
	"github.com/banger-vm/banger/test/host/machine"
	"github.com/banger-vm/banger/test/host/payload"
)

// realRig is a rig of this machine, or skips.
func realRig(t *testing.T) *rig {
	t.Helper()
	if os.Getenv("BANGER_TEST_VM") == "" || os.Getenv("BANGER_TEST_HOST") != "" {
		t.Skip("no host is booted here (BANGER_TEST_VM)")
	}
	r, err := newRig(t.Context(), place{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// with runs do in a host with a payload of its own, of which nothing is left.
func (r *rig) with(t *testing.T, text string, do func(m *machine.Machine)) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	before := dirs(t, r)
	err := r.withMachine(t.Context(), []payload.Entry{{Name: "file", Source: file}}, func(m *machine.Machine) error {
		do(m)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if after := dirs(t, r); after > before {
		t.Errorf("%d directories are left", after-before)
	}
}

func dirs(t *testing.T, r *rig) int {
	t.Helper()
	n := 0
	for _, name := range []string{"runs", "payloads"} {
		found, err := filepath.Glob(filepath.Join(r.dir, name, "*"))
		if err != nil {
			t.Fatal(err)
		}
		n += len(found)
	}
	return n
}

func run(t *testing.T, m *machine.Machine, timeout time.Duration, argv ...string) (call.Exit, string, error) {
	t.Helper()
	var out strings.Builder
	exit, err := m.Run(t.Context(), call.Run{Argv: argv, Timeout: timeout}, machine.IO{Stdout: &out, Stderr: &out})
	return exit, strings.TrimSpace(out.String()), err
}

// Two hosts of one save have a payload, a clock and random numbers of their
// own, and bring files back.
func TestRealHosts(t *testing.T) {
	r := realRig(t)
	var random [2]string
	for i, text := range []string{"first", "second, and a longer one"} {
		r.with(t, text, func(m *machine.Machine) {
			if _, out, err := run(t, m, time.Minute, "cat", "/payload/file"); err != nil || out != text {
				t.Errorf("the payload is %q, %v", out, err)
			}
			_, random[i], _ = run(t, m, time.Minute, "head", "-c", "16", "/proc/sys/kernel/random/uuid")
			_, out, err := run(t, m, time.Minute, "date", "+%s")
			now, perr := time.ParseDuration(out + "s")
			if off := time.Since(time.Unix(int64(now.Seconds()), 0)).Abs(); errors.Join(err, perr) != nil || off > 5*time.Second {
				t.Errorf("the clock is off by %v: %q, %v, %v", off, out, err, perr)
			}
			back := t.TempDir()
			if err := m.Fetch(t.Context(), "/etc/hostname", back); err != nil {
				t.Error(err)
			}
			if got, err := os.ReadFile(filepath.Join(back, "hostname")); err != nil || string(got) != "test-host\n" {
				t.Errorf("brought back: %q, %v", got, err)
			}
			if err := m.Fetch(t.Context(), "/no/such/file", back); err == nil {
				t.Error("a file that is not there came back")
			}
		})
	}
	if random[0] == random[1] || len(random[0]) != 16 {
		t.Errorf("two hosts draw the same random numbers: %q", random)
	}
}

// A command that hangs is ended at its deadline, and the host goes on; a host
// that dies is an error with the end of its console, at once.
func TestRealHostIsLost(t *testing.T) {
	r := realRig(t)
	r.with(t, "", func(m *machine.Machine) {
		if exit, out, err := run(t, m, 2*time.Second, "sh", "-c", "echo begun; sleep 1000"); err != nil || exit.Code != 124 || out != "begun" {
			t.Errorf("a command that hangs: %+v %q %v", exit, out, err)
		}
		began := time.Now()
		_, _, err := run(t, m, time.Minute, "sh", "-c", "echo c >/proc/sysrq-trigger")
		if err == nil || !strings.Contains(err.Error(), "Kernel panic - not syncing: sysrq triggered crash") {
			t.Errorf("a panic: %v", err)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("it took %v to see the panic", took)
		}
	})
}

// A caller who loses interest leaves no host.
func TestRealInterrupted(t *testing.T) {
	r := realRig(t)
	before := dirs(t, r)
	ctx, cancel := context.WithCancel(t.Context())
	err := r.withMachine(ctx, nil, func(m *machine.Machine) error {
		time.AfterFunc(500*time.Millisecond, cancel)
		_, err := m.Run(ctx, call.Run{Argv: []string{"sleep", "1000"}, Timeout: time.Hour}, machine.IO{})
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if after := dirs(t, r); after > before {
		t.Errorf("%d directories are left", after-before)
	}
}
