package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/rpc"
	"github.com/banger-vm/banger/internal/rpc/rpcserver"
)

// fake is a daemon without machines: its VMs are entries, its operations end
// at the first look, except those on the image or VM "slow", which end when
// they are cancelled; the VM "broken" does not start. A VM that is whole is
// kept when its first start fails or is cancelled, as the daemon does.
type fake struct {
	dir string

	mu      sync.Mutex // guards the rest
	vms     map[string]*api.VM
	images  []api.Image
	ops     []*api.Operation
	changed chan struct{}
	log     []string // what was asked for, a word each
}

func newFake(dir string) *fake {
	f := &fake{dir: dir, vms: map[string]*api.VM{}, changed: make(chan struct{})}
	f.images = []api.Image{{
		ID: "aaaabbbbccccdddd", Name: "debian", OS: "Debian\x1b[31m 12", User: "dev",
		SizeBytes: 32 << 30, UsedBytes: 400 << 20, CreatedAt: time.Now().Add(-50 * time.Hour), VMs: []string{"web"},
	}}
	f.add("web", api.StateRunning)
	f.add("old", api.StateStopped).Reason = "the guest powered off\x07"
	return f
}

func (f *fake) add(name string, state api.State) *api.VM {
	vm := &api.VM{
		ID: fmt.Sprintf("f00d%012x", len(f.vms)), Name: name, State: state, ImageID: "aaaabbbbccccdddd", User: "dev",
		Spec:   api.VMSpec{Name: name, Image: "debian", CPUs: 2, MemoryBytes: 512 << 20, DiskBytes: 16 << 30, Network: "user", VMM: "qemu"},
		VMMWhy: `chosen: firecracker has no network "user" yet`, Isolation: "namespaces",
		CreatedAt: time.Now().Add(-3 * time.Hour), Dir: "/vms/" + name,
	}
	if state == api.StateRunning {
		vm.Boot = &api.Boot{
			ID: "b1", VMM: "qemu", VMMVersion: "7.2", Accel: "tcg", VMMPID: 11, MonitorPID: 10, Kernel: "6.1",
			Timings: api.Timings{SpawnMS: 120, AgentReadyMS: 4700},
		}
		vm.Reduced = []string{"there is no KVM"}
		vm.Isolation = "qemu/tcg (no security promise)"
	}
	f.vms[name] = vm
	return vm
}

// serve answers until ctx ends; it returns the daemon's socket.
func (f *fake) serve(ctx context.Context) (string, error) {
	socket := filepath.Join(f.dir, "d.sock")
	for path, cfg := range map[string]rpcserver.Config{
		socket:                           {Methods: f.methods(), Grace: time.Millisecond},
		filepath.Join(f.dir, "mon.sock"): {Streams: map[string]rpcserver.Stream{api.MethodExecAttach: f.attach, api.MethodConsoleAttach: f.console}, Grace: time.Millisecond},
	} {
		l, err := rpc.Listen(path, 0o600)
		if err != nil {
			return "", err
		}
		go rpcserver.New(slog.New(slog.DiscardHandler), cfg).Serve(ctx, l)
	}
	return socket, nil
}

func (f *fake) find(ref string) (*api.VM, error) {
	for _, vm := range f.vms {
		if vm.Name == ref || vm.ID == ref {
			return vm, nil
		}
	}
	return nil, api.NewError(api.KindNotFound, fmt.Sprintf("there is no VM %q", ref), "List them with: banger ls -a")
}

// begin adds an operation; do is what it does.
func (f *fake) begin(kind, name string, slow bool, do func() (id string)) api.Operation {
	noun, _, _ := strings.Cut(kind, ".")
	target := noun + "/" + name
	if vm := f.vms[name]; noun == "vm" && vm != nil {
		target = "vm/" + vm.ID
	}
	op := &api.Operation{
		ID: fmt.Sprintf("0p%014x", len(f.ops)), Kind: kind, Target: target, Name: name, State: api.OpRunning,
		Progress: api.Progress{Phase: "working", Done: 1, Total: 4, Unit: "steps"}, StartedAt: time.Now(),
		Steps: []api.OpStep{{Name: "disks", State: "done", MS: 12}},
	}
	f.ops = append(f.ops, op)
	f.log = append(f.log, kind+" "+name)
	if !slow {
		op.State, op.EndedAt = api.OpSucceeded, op.StartedAt.Add(1500*time.Millisecond)
		op.Result = json.RawMessage(fmt.Sprintf(`{"id":%q}`, do()))
	}
	begun := *op
	begun.State = api.OpRunning
	return begun
}

func (f *fake) op(id string) (*api.Operation, error) {
	for _, op := range f.ops {
		if strings.HasPrefix(op.ID, id) {
			return op, nil
		}
	}
	return nil, api.NewError(api.KindNotFound, fmt.Sprintf("there is no operation %q", id), "")
}

// locked makes a handler that has the fake to itself.
func locked[P, R any](f *fake, do func(P) (R, error)) rpcserver.Handler {
	return rpcserver.Bind(func(_ context.Context, p P) (R, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		return do(p)
	})
}

func (f *fake) methods() map[string]rpcserver.Handler {
	m := map[string]rpcserver.Handler{
		api.MethodDaemonStatus: locked(f, func(api.Empty) (api.DaemonStatus, error) {
			return api.DaemonStatus{
				PID: 1 << 30, Version: "v0", Protocols: api.Protocols{API: 1, Stream: 1, Monitor: 2, Agent: 3}, Socket: "/s", StateDir: "/state", LogFile: filepath.Join(f.dir, "bangerd.log"), StartedAt: time.Now(), VMs: 2, Running: 1,
				Unit: "banger.service", Units: "user", Reduced: []string{"VMs end when you log out; to have them go on: loginctl enable-linger"},
			}, nil
		}),
		api.MethodDaemonInfo: locked(f, func(api.Empty) (api.HostInfo, error) {
			return api.HostInfo{
				Daemon: api.DaemonStatus{Version: "v0", StateDir: "/state", VMs: 2, Running: 1}, Kernel: "6.1", CPUs: 4, MemoryBytes: 16 << 30, AvailableBytes: 8 << 30,
				DiskBytes: 100 << 30, FreeBytes: 10 << 30, Running: api.RunningSum{VMs: 1, CPUs: 2, MemoryBytes: 2 << 30, YetBytes: 1 << 30},
				MemoryOvercommit: 1.5, CPUOvercommit: 16, DiskReserve: 256 << 20, Images: 1, Kernels: 1,
			}, nil
		}),
		api.MethodDaemonStop: locked(f, func(api.Empty) (api.Empty, error) { return api.Empty{}, nil }),
		api.MethodVMList: locked(f, func(r api.VMListRequest) (list api.VMList, _ error) {
			for _, vm := range f.vms {
				if (r.All || vm.State == api.StateRunning) && labelled(vm, r.Labels) {
					list.VMs = append(list.VMs, *vm)
				}
			}
			slices.SortFunc(list.VMs, func(a, b api.VM) int { return strings.Compare(a.Name, b.Name) })
			return list, nil
		}),
		api.MethodVMInspect: locked(f, func(r api.VMRef) (*api.VM, error) { return f.find(r.VM) }),
		api.MethodVMConnect: locked(f, f.connect),
		api.MethodVMLogs:    locked(f, f.logs),
		api.MethodVMSSH: locked(f, func(api.VMSSHRequest) (api.VMSSH, error) {
			return api.VMSSH{Config: filepath.Join(f.dir, "config"), Zone: "vm"}, nil
		}),
		api.MethodVMCreateBegin: locked(f, f.create),
		api.MethodVMPing:        locked(f, f.ping),
		api.MethodVMHealth:      locked(f, f.health),
		api.MethodVMStats:       locked(f, f.stats),

		api.MethodVMAuthPush:   locked(f, f.pushAuth),
		api.MethodVMAuthRemove: locked(f, f.removeAuth),
		api.MethodVMAuthShow:   locked(f, f.showAuth),

		api.MethodVMForwardAdd:    locked(f, f.forward),
		api.MethodVMForwardRemove: locked(f, f.unforward),
		api.MethodVMPorts:         locked(f, f.ports),
		api.MethodImageList:       locked(f, func(api.Empty) (api.ImageList, error) { return api.ImageList{Images: f.images}, nil }),
		api.MethodImageInspect:    locked(f, func(api.ImageRef) (api.Image, error) { return f.images[0], nil }),
		api.MethodImageDelete: locked(f, func(r api.ImageDeleteRequest) (api.Operation, error) {
			return api.Operation{}, api.NewError(api.KindFailedPrecondition, "the VM web stands on it", "Remove that first.")
		}),
		api.MethodImageBootstrapBegin: locked(f, func(r api.ImageBootstrapRequest) (api.Operation, error) {
			return f.begin("image.bootstrap", r.Name, r.Name == "slow", func() string { return "img1" }), nil
		}),
		api.MethodKernelList:    locked(f, func(api.Empty) (api.KernelList, error) { return api.KernelList{Kernels: fakeKernels()}, nil }),
		api.MethodKernelInspect: locked(f, func(api.KernelRef) (api.Kernel, error) { return fakeKernels()[1], nil }),
		api.MethodKernelImportBegin: locked(f, func(r api.KernelImportRequest) (api.Operation, error) {
			name := r.Name
			if name == "" {
				name = "of " + r.Vmlinuz + " and " + r.Modules
			}
			return f.begin("kernel.import", name, r.Name == "slow", func() string { return "k1" }), nil
		}),
		api.MethodKernelDelete: locked(f, func(r api.KernelDeleteRequest) (api.Operation, error) {
			if r.Kernel == "debian" {
				return api.Operation{}, api.NewError(api.KindFailedPrecondition, "the kernel debian is in use by web", "Remove them first: banger rm web")
			}
			return f.begin("kernel.delete", r.Kernel, false, func() string { return r.Kernel }), nil
		}),
		api.MethodVMMList: locked(f, func(r api.VMMListRequest) (api.VMMList, error) { return f.vmms(r.Try), nil }),
		api.MethodVMMInstallBegin: locked(f, func(r api.VMMInstallRequest) (api.Operation, error) {
			op := f.begin("vmm.install", r.VMM, r.VMM == "slow", func() string { return r.VMM })
			f.ops[len(f.ops)-1].Result = json.RawMessage(fmt.Sprintf(`{"id":%q,"version":"from %s with %s"}`, r.VMM, r.From, r.SHA256))
			return op, nil
		}),
		api.MethodVMMRemove: locked(f, func(r api.VMMRemoveRequest) (api.Operation, error) {
			if r.VMM == "qemu" {
				return api.Operation{}, api.NewError(api.KindBusy, "qemu runs web", "Stop them first: banger stop web")
			}
			op := f.begin("vmm.remove", r.VMM, false, func() string { return r.VMM })
			f.ops[len(f.ops)-1].Result = json.RawMessage(fmt.Sprintf(`{"id":%q,"stopped":["old","older"]}`, r.VMM))
			return op, nil
		}),
		api.MethodOpList: locked(f, func(api.OpListRequest) (list api.OpList, _ error) {
			for _, op := range slices.Backward(f.ops) {
				list.Operations = append(list.Operations, *op)
			}
			return list, nil
		}),
		api.MethodOpShow:     locked(f, func(r api.OpRef) (*api.Operation, error) { return f.op(r.ID) }),
		api.MethodOpCancel:   locked(f, f.cancel),
		api.MethodOpWait:     rpcserver.Bind(f.wait),
		api.MethodEventWatch: rpcserver.Bind(f.events),
	}
	m[api.MethodVMStart] = locked(f, func(r api.VMStartRequest) (api.Operation, error) {
		vm, err := f.find(r.VM)
		if err == nil && r.VMM != "" {
			vm.Spec.VMM = r.VMM
		}
		if err == nil {
			f.give(vm, r.Auth)
		}
		op, err := f.change(api.MethodVMStart, r.VM, api.StateRunning)
		if err == nil {
			f.relisten(vm)
		}
		return op, err
	})
	m[api.MethodVMRestart] = locked(f, func(r api.VMStopRequest) (api.Operation, error) {
		op, err := f.change(api.MethodVMRestart, r.VM, api.StateRunning)
		if vm, _ := f.find(r.VM); err == nil {
			f.log = append(f.log, fmt.Sprintf("within %d ms", r.TimeoutMS))
			f.relisten(vm)
		}
		return op, err
	})
	m[api.MethodVMRename] = locked(f, func(r api.VMRenameRequest) (api.Operation, error) {
		vm, err := f.find(r.VM)
		if err == nil && f.vms[r.Name] != nil {
			err = api.NewError(api.KindAlreadyExists, fmt.Sprintf("there is a VM %q already", r.Name), "Choose another name.")
		}
		if err != nil {
			return api.Operation{}, err
		}
		return f.begin(api.MethodVMRename, vm.Name, false, func() string {
			delete(f.vms, vm.Name)
			vm.Name, vm.Spec.Name, f.vms[r.Name] = r.Name, r.Name, vm
			return vm.ID
		}), nil
	})
	m[api.MethodVMPause] = locked(f, func(r api.VMActionRequest) (api.Operation, error) {
		vm, err := f.find(r.VM)
		if err == nil && vm.State != api.StateRunning {
			err = api.NewError(api.KindFailedPrecondition, "the VM "+vm.Name+" is stopped", "Start it with: banger start "+vm.Name)
		}
		if err != nil {
			return api.Operation{}, err
		}
		vm.Reason = "a user paused it; to have it go on: banger resume"
		return f.change(api.MethodVMPause, r.VM, api.StatePaused)
	})
	m[api.MethodVMResume] = locked(f, func(r api.VMActionRequest) (api.Operation, error) {
		if vm, err := f.find(r.VM); err == nil {
			vm.Reason = ""
		}
		return f.change(api.MethodVMResume, r.VM, api.StateRunning)
	})
	for method, state := range map[string]api.State{api.MethodVMStop: api.StateStopped, api.MethodVMKill: api.StateStopped} {
		m[method] = locked(f, func(r api.VMStopRequest) (api.Operation, error) { return f.change(method, r.VM, state) })
	}
	m[api.MethodVMDelete] = locked(f, f.delete)
	m[api.MethodVMSet], m[api.MethodVMReset] = locked(f, f.set), locked(f, f.reset)
	return m
}

// change begins to bring a VM into a state.
func (f *fake) change(method, ref string, state api.State) (api.Operation, error) {
	vm, err := f.find(ref)
	if err != nil {
		return api.Operation{}, err
	}
	op := f.begin(method, vm.Name, vm.Name == "slow", func() string { vm.State = state; return vm.ID })
	if vm.Name == "broken" {
		f.fail(vm)
	}
	return op, nil
}

// vmms are a QEMU with a verdict on KVM once that was tried, and one that is
// not there.
func (f *fake) vmms(try bool) api.VMMList {
	kvm := api.VMMAccel{Name: "kvm", NotTried: true, Reason: "KVM has not been tried"}
	if try {
		kvm.NotTried, kvm.Reason = false, "this host has no /dev/kvm\x1b"
	}
	return api.VMMList{VMMs: []api.VMM{
		{Name: "firecracker", FoundBy: "PATH", Error: api.NewError(api.KindFailedPrecondition, "firecracker is not installed", "Install it.")},
		{Name: "qemu", Version: "7.2.22", Path: "/usr/bin/qemu", FoundBy: "PATH", Networks: []string{"none", "user"}, Accels: []api.VMMAccel{
			kvm, {Name: "tcg", Works: true, Isolation: "qemu/tcg (no security promise)", Default: true, Why: "firecracker is not installed"},
		}},
	}}
}

func (f *fake) connect(r api.VMConnectRequest) (api.VMEndpoint, error) {
	vm, err := f.find(r.VM)
	switch {
	case err != nil:
	case vm.State == api.StatePaused:
		err = api.NewError(api.KindFailedPrecondition, "the VM "+vm.Name+" is paused", "Let it go on with: banger resume "+vm.Name)
	case vm.State != api.StateRunning:
		err = api.NewError(api.KindFailedPrecondition, "the VM "+vm.Name+" is stopped", "Start it with: banger start "+vm.Name)
	}
	if err != nil {
		return api.VMEndpoint{}, err
	}
	return api.VMEndpoint{ID: vm.ID, Name: vm.Name, User: "dev", BootID: "b1", Socket: filepath.Join(f.dir, "mon.sock")}, nil
}

func (f *fake) create(r api.VMCreateRequest) (api.Operation, error) {
	s := r.Spec
	switch {
	case s.Image == "nope":
		return api.Operation{}, api.NewError(api.KindNotFound, `there is no image "nope"`, "List them with: banger image ls")
	case s.MemoryBytes == 1<<20:
		return api.Operation{}, api.NewError(api.KindInvalid, "1M of memory is too little", "Give at least 128M.")
	case f.vms[s.Name] != nil:
		return api.Operation{}, api.NewError(api.KindAlreadyExists, "there is a VM "+s.Name+" already", "")
	case s.Name == "older" && r.Auth != nil:
		return api.Operation{}, api.NewError(api.KindInvalid, `the parameter "auth" is not known`, "")
	case s.Name == "":
		s.Name = "calm-otter"
	}
	if !r.Start && s.Image == "slow" { // its disks are never whole
		return f.begin("vm.create", s.Name, true, nil), nil
	}
	vm := f.add(s.Name, api.StateStopped)
	vm.Spec = s
	f.give(vm, r.Auth)
	f.listen(vm, s.Forwards)
	op := f.begin("vm.create", s.Name, s.Image == "slow", func() string {
		if r.Start {
			vm.State, vm.Forwards = api.StateRunning, nil
			f.listen(vm, s.Forwards)
		}
		return vm.ID
	})
	if s.Kernel == "poor" {
		f.ops[len(f.ops)-1].Result = json.RawMessage(fmt.Sprintf(`{"id":%q,"weaker":["The root is a full copy\u001b."]}`, vm.ID))
	}
	if r.Start && s.Name == "broken" {
		f.fail(vm)
	}
	return op, nil
}

// fakeKernels are the default one and one that lacks something.
func fakeKernels() []api.Kernel {
	return []api.Kernel{
		{
			ID: "aaaabbbbccccdddd", Name: "debian", Origin: "debian", Release: "6.1.0-56-cloud-amd64", Source: "Debian linux-image 6.1",
			SizeBytes: 150 << 20, CreatedAt: time.Now().Add(-50 * time.Hour), VMs: []string{"web", "old"},
		},
		{
			ID: "bbbbccccddddeeee", Name: "poor", Origin: "imported", Release: "6.1\x1b[31m", Source: "/boot/vmlinuz", Lacks: []string{"dm_snapshot", "pvh"},
			SizeBytes: 100 << 20, CreatedAt: time.Now().Add(-3 * time.Hour),
		},
	}
}

// fail makes the newest operation one whose VMM did not start.
func (f *fake) fail(vm *api.VM) {
	op := f.ops[len(f.ops)-1]
	op.State, op.Result, vm.State = api.OpFailed, nil, api.StateFailed
	op.Error = &api.Error{Kind: api.KindUnavailable, Message: "the VMM did not start", Operation: op.ID}
}

func (f *fake) delete(r api.VMDeleteRequest) (api.Operation, error) {
	vm, err := f.find(r.VM)
	switch {
	case err != nil:
		return api.Operation{}, err
	case vm.Name == "busy":
		return api.Operation{}, &api.Error{Kind: api.KindBusy, Message: "another operation has it", Operation: "0p7"}
	case vm.State == api.StateRunning && !r.Force:
		return api.Operation{}, api.NewError(api.KindFailedPrecondition, "the VM "+vm.Name+" is running", "Stop it, or use: banger rm -f "+vm.Name)
	}
	return f.begin("vm.delete", vm.Name, false, func() string { delete(f.vms, vm.Name); return vm.ID }), nil
}

func (f *fake) cancel(r api.OpRef) (*api.Operation, error) {
	op, err := f.op(r.ID)
	if err == nil && !op.State.Final() {
		op.State, op.EndedAt = api.OpCanceled, time.Now()
		f.log = append(f.log, "cancel "+op.Name)
		close(f.changed)
		f.changed = make(chan struct{})
	}
	return op, err
}

func (f *fake) wait(ctx context.Context, r api.OpWaitRequest) (api.Operation, error) {
	for {
		f.mu.Lock()
		op, err := f.op(r.ID)
		changed := f.changed
		if err != nil || op.State.Final() {
			defer f.mu.Unlock()
			if err != nil {
				return api.Operation{}, err
			}
			return *op, nil
		}
		f.mu.Unlock()
		select {
		case <-ctx.Done():
			return api.Operation{}, ctx.Err()
		case <-changed:
		}
	}
}

// events are three of a daemon that was killed since: the numbers that it had
// reserved are skipped, up to the newest one.
func (f *fake) events(ctx context.Context, r api.EventWatchRequest) (batch api.EventBatch, _ error) {
	batch.Last, batch.Gap = 8195, r.Since >= 0 && r.Since < 8195
	for seq := r.Since + 1; r.Since >= 0 && seq <= 3; seq++ {
		batch.Events = append(batch.Events, api.Event{
			Seq: uint64(seq), Time: time.Unix(0, 0).UTC(), Type: "vm.running", Target: "vm/1", Name: "web", Message: fmt.Sprintf("message %d\x1b", seq),
		})
	}
	if len(batch.Events) > 0 || r.Since < 0 {
		return batch, nil
	}
	wait := time.Duration(r.WaitMS) * time.Millisecond
	if wait <= 0 {
		wait = time.Minute
	}
	select {
	case <-time.After(wait):
		return batch, nil
	case <-ctx.Done():
		return batch, ctx.Err()
	}
}
