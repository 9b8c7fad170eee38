package cli

import (
	"strings"

	"github.com/banger-vm/banger/api"
)

func labelled(vm *api.VM, want []string) bool {
	for _, w := range want {
		key, value, exact := strings.Cut(w, "=")
		if got, ok := vm.Spec.Labels[key]; !ok || exact && got != value {
			return false
		}
	}
	return true
}

// asked is a VM whose guest answers: that of "silent" never does, and that of
// "flaky" not at first.
func (f *fake) asked(r api.VMAskRequest) error {
	if _, err := f.connect(api.VMConnectRequest{VM: r.VM}); err != nil {
		return err
	}
	vm, err := f.find(r.VM)
	if err != nil {
		return err
	}
	first := f.count("ask "+vm.Name) == 0
	f.log = append(f.log, "ask "+vm.Name)
	switch {
	case vm.Name == "silent":
		return api.NewError(api.KindDeadlineExceeded, "the guest's agent did not answer within 5s\x1b", "")
	case vm.Name == "flaky" && first:
		return api.NewError(api.KindUnavailable, "the guest is still booting", "Try again in a moment.")
	}
	return nil
}

func (f *fake) count(word string) (n int) {
	for _, w := range f.log {
		if w == word {
			n++
		}
	}
	return n
}

func (f *fake) ping(r api.VMAskRequest) (api.VMPong, error) {
	return api.VMPong{AgentMS: 0.75}, f.asked(r)
}

func (f *fake) health(r api.VMAskRequest) (api.VMHealth, error) { return fakeHealth(), f.asked(r) }

func fakeHealth() api.VMHealth {
	return api.VMHealth{
		UptimeMS: 3_700_000, Load: [3]float64{0.5, 0.25, 0.125}, CPUs: 2, BusyMS: 65_500, StolenMS: 1_200,
		MemTotal: 480 << 20, MemAvail: 360 << 20, Execs: 3, RootSize: 2 << 30, RootFree: 3 << 29, WorkFree: 15 << 30,
	}
}
