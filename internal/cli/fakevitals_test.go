package cli

import (
	"slices"
	"strings"
	"time"

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
	case strings.HasPrefix(vm.Name, "flaky") && first:
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

// stats grow with each question; the VM "silent" does not answer.
func (f *fake) stats(r api.VMStatsRequest) (list api.VMStatsList, _ error) {
	f.log = append(f.log, "stats")
	round := float64(f.count("stats"))
	names := r.VMs
	for _, vm := range f.vms {
		if len(r.VMs) == 0 && vm.State == api.StateRunning {
			names = append(names, vm.Name)
		}
	}
	if len(r.VMs) == 0 {
		slices.Sort(names)
	}
	for _, name := range names {
		vm, err := f.find(name)
		if err != nil {
			return list, err
		}
		s := api.VMStats{ID: vm.ID, Name: vm.Name, State: vm.State, At: time.Unix(0, 0).Add(time.Duration(round) * time.Second).UTC(), CPUs: 2, MemoryBytes: 512 << 20, Disks: []api.DiskStats{
			{Slot: "vda", What: "image", Shared: true, ApparentBytes: 2 << 30, UsedBytes: 400 << 20},
			{Slot: "vdc", What: "layer", ApparentBytes: 2 << 30, UsedBytes: 10 << 20, Reads: 3, ReadBytes: 4096},
			{Slot: "vdb", What: "work", ApparentBytes: 16 << 30, UsedBytes: 30 << 20},
		}}
		if vm.State == api.StateRunning {
			s.VMM = &api.ProcessStats{PID: 11, CPUMS: 500 * round, Resident: 300 << 20, PSS: 200 << 20}
			s.Monitor = &api.ProcessStats{PID: 10, CPUMS: round, Resident: 12 << 20}
			s.Timings = &api.Timings{AgentReadyMS: 4700}
			if vm.Name == "silent" {
				s.Missing = []string{"the guest's agent did not answer within 2s"}
			} else {
				h := fakeHealth()
				h.UptimeMS, h.BusyMS = 1000*round, 250*round
				s.Guest, s.Network = &h, &api.NetworkStats{SentBytes: 1 << 20, ReceivedBytes: 3 << 20}
			}
		}
		list.VMs = append(list.VMs, s)
	}
	return list, nil
}
