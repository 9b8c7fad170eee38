package vmms

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/doctor"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/vmm"
)

// fc is a VMM that needs KVM.
func fc(kvm string) vmm.Info {
	return vmm.Info{Name: "fc", Version: "1.12.1", Path: "/bin/fc", Accels: map[vmm.Accel]string{vmm.AccelKVM: kvm, vmm.AccelTCG: "it has none"}}
}

func facts(info vmm.Info, err error, v Verdict) Facts {
	return Facts{
		Names:   []string{"fc"},
		Look:    func(context.Context, string) (vmm.Info, string, error) { return info, "PATH", err },
		Verdict: func(path string) (Verdict, error) { return v, nil },
	}
}

func TestVMMs(t *testing.T) {
	ran := Verdict{Known: true, At: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)}
	refused := Verdict{Known: true, Reason: "it said no", File: "/c/kvm-1.json"}
	lacking := fc("")
	lacking.Lacks = map[network.Backend]string{network.BackendFrames: "there is no tun"}
	none := fault.New(fault.Precondition, "Install one with: banger vmm install fc.", "%w", fmt.Errorf("fc %w", hostexec.ErrNotInstalled))
	broken := fault.New(fault.Precondition, "Make it one with: chmod +x /bin/fc", "it is no program")
	type finding struct {
		state   doctor.State
		command string
	}
	good, skip := finding{doctor.OK, ""}, finding{doctor.Skip, ""}
	for name, c := range map[string]struct {
		facts             Facts
		any, program, kvm finding
	}{
		"all is well":   {facts(fc(vmm.NotTried), nil, ran), good, good, good},
		"not tried":     {facts(fc(vmm.NotTried), nil, Verdict{}), good, good, skip},
		"KVM refused":   {facts(fc(vmm.NotTried), nil, refused), good, good, finding{doctor.Warn, "rm -f /c/kvm-1.json && banger vmm ls"}},
		"no KVM":        {facts(fc("there is none"), nil, ran), finding{doctor.Fail, ""}, good, skip},
		"no network":    {facts(lacking, nil, ran), good, finding{doctor.Warn, ""}, good},
		"not installed": {facts(vmm.Info{}, none, ran), finding{doctor.Fail, "banger vmm install fc"}, finding{doctor.Warn, "banger vmm install fc"}, skip},
		"no program":    {facts(vmm.Info{}, broken, ran), finding{doctor.Fail, "chmod +x /bin/fc"}, finding{doctor.Fail, "chmod +x /bin/fc"}, skip},
	} {
		t.Run(name, func(t *testing.T) {
			got := map[string]doctor.Finding{}
			for _, r := range doctor.Run(t.Context(), Checks(c.facts)) {
				got[r.Name] = r.Finding
			}
			want := map[string]finding{"vmm": c.any, "fc": c.program, "fc-kvm": c.kvm}
			if !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want))) {
				t.Fatalf("the checks are %v", got)
			}
			for name, w := range want {
				if g := got[name]; g.State != w.state || g.Fix.Command != w.command || g.Found == "" {
					t.Errorf("%s: %+v, want %+v", name, g, w)
				}
			}
		})
	}
	f := facts(fc(vmm.NotTried), nil, ran)
	f.Verdict = func(string) (Verdict, error) { return Verdict{}, errors.New("broken") }
	if r := f.verdict(t.Context(), "fc"); r.State != doctor.Skip {
		t.Errorf("%+v", r)
	}
}
