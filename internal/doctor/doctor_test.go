package doctor

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/banger-vm/banger/internal/fault"
)

func TestRunKeepsTheOrder(t *testing.T) {
	var at, most atomic.Int32
	var checks []Check
	for i := range 20 {
		checks = append(checks, Check{Name: string(rune('a' + i)), Look: func(context.Context) Finding {
			most.Store(max(most.Load(), at.Add(1)))
			time.Sleep(time.Millisecond)
			at.Add(-1)
			return Good("%d", i)
		}})
	}
	for i, r := range Run(t.Context(), checks) {
		if r.Name != checks[i].Name || r.State != OK || r.Found == "" {
			t.Errorf("%d is %+v", i, r)
		}
	}
	if most.Load() > 4 {
		t.Errorf("%d checks ran at once", most.Load())
	}
}

// One that hangs takes nothing from the others.
func TestHangingCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		results := Run(t.Context(), []Check{
			{Name: "hangs", Look: func(context.Context) Finding { <-release; return Good("") }},
			{Name: "works", Look: func(context.Context) Finding { return Good("well") }},
		})
		close(release)
		if results[0].State != Fail || !strings.Contains(results[0].Found, "within 15s") || results[1].Found != "well" {
			t.Errorf("%+v", results)
		}
	})
}

func TestCommandInHint(t *testing.T) {
	for hint, want := range map[string]string{
		"sudo apt-get install qemu-system-x86":                                "sudo apt-get install qemu-system-x86",
		"Make it one with: chmod +x /opt/fc":                                  "chmod +x /opt/fc",
		"Allow it with: sudo sysctl a=1 b=2 (or run banger as root).":         "sudo sysctl a=1 b=2",
		"Install one with: banger vmm install x --from FILE --sha256 SUM.":    "banger vmm install x --from FILE --sha256 SUM",
		"Put back a copy of it, or move it away and start with an empty one.": "",
		"": "",
	} {
		f := Broken(Warn, fault.New(fault.Precondition, hint, "it is broken"))
		if f.State != Warn || f.Found != "it is broken" || f.Fix.Command != want {
			t.Errorf("%q: %+v", hint, f)
		}
		if want == "" && f.Fix.Hint != hint {
			t.Errorf("the hint %q is lost", hint)
		}
	}
	if f := Broken(Fail, errors.New("plain")); f.Found != "plain" || f.Fix != (Fix{}) {
		t.Errorf("%+v", f)
	}
}

func TestPreflight(t *testing.T) {
	looked := ""
	check := func(name string, preflight bool, f Finding) Check {
		return Check{Name: name, Preflight: preflight, Look: func(context.Context) Finding { looked += name; return f }}
	}
	bad := Bad(Fail, Fix{Command: "chmod go-w x"}, "it is open")
	err := Preflight(t.Context(), []Check{
		check("a", false, bad), check("b", true, Bad(Warn, Fix{}, "meh")), check("c", true, bad), check("d", true, bad),
	})
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Precondition || f.Message != "it is open" || f.Hint != "Mend it with: chmod go-w x" || looked != "bc" {
		t.Errorf("%v, looked at %q", err, looked)
	}
	if err := Preflight(t.Context(), []Check{check("e", true, Good(""))}); err != nil {
		t.Error(err)
	}
}
