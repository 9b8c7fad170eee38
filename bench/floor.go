package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/kernel"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/monitor/control"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/firecracker"
	"github.com/banger-vm/banger/internal/vmm/precheck"
)

// floor is what banger is compared to: its VMM by hand, with an init that
// does nothing but the same work.
type floor struct {
	dir       string // of its VMs
	hand      hand
	layerSize int64    // of the COW layer, as banger has it
	mkfs      []string // that makes the home
	init      string   // the built bench/floor
}

// hand drives a VMM by hand.
type hand interface {
	// start starts the VMM of a floor's VM in its directory and connects to
	// the guest's ports.
	start(ctx context.Context, vm *floorVM) error
}

// floorConfig is what the floor is made from.
type floorConfig struct {
	dir  string // for its files
	init string // its built init; "" to build it
	vm   api.VM // which has the machine
	vmm  string // the program that runs it
}

// newFloor takes its machine from a running VM.
func newFloor(ctx context.Context, c floorConfig) (*floor, error) {
	var launch machine.Launch
	data, err := os.ReadFile(filepath.Join(c.vm.Dir, control.LaunchFile))
	if err == nil {
		err = json.Unmarshal(data, &launch)
	}
	if err != nil {
		return nil, fmt.Errorf("reading what the VM was launched with: %w", err)
	}
	if c.init == "" {
		if c.init, err = buildInit(ctx, c.dir); err != nil {
			return nil, err
		}
	}
	initramfs := filepath.Join(c.dir, "initramfs.cpio")
	if err := writeInitramfs(initramfs, c.init, filepath.Join(filepath.Dir(launch.Spec.Kernel), "modules")); err != nil {
		return nil, fmt.Errorf("making the floor's initramfs: %w", err)
	}
	f := &floor{dir: c.dir, init: c.init}
	if f.layerSize, f.mkfs, err = disksLike(launch.Spec); err != nil {
		return nil, err
	}
	if c.vm.Boot.VMM == firecracker.DriverName {
		f.hand, err = newFirecrackerHand(ctx, c, launch.Spec, initramfs)
	} else {
		f.hand, err = newQEMUHand(c, initramfs)
	}
	return f, err
}

func buildInit(ctx context.Context, dir string) (string, error) {
	init := filepath.Join(dir, "init")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", init, "./bench/floor")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the floor's init: %w\n%s", err, out)
	}
	return init, nil
}

// writeInitramfs packs init with the modules that banger's has.
func writeInitramfs(path, init, modules string) (err error) {
	program, err := os.ReadFile(init)
	if err != nil {
		return err
	}
	files, err := os.ReadDir(modules) // by name, which is the order of insertion
	if err != nil {
		return err
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(out)
	err = kernel.WriteInitramfs(w, program, names, func(name string) ([]byte, error) {
		return os.ReadFile(filepath.Join(modules, name))
	})
	return errors.Join(err, w.Flush(), out.Close())
}

// disksLike says how to make disks of the size that a VM has.
func disksLike(spec vmm.Spec) (layer int64, mkfs []string, err error) {
	sizes := map[disk.Slot]int64{}
	for _, d := range spec.Drives {
		st, err := os.Stat(precheck.DrivePath(spec, d))
		if err != nil {
			return 0, nil, err
		}
		sizes[d.Slot] = st.Size()
	}
	if sizes[disk.SlotLayer] == 0 || sizes[disk.SlotWork] == 0 {
		return 0, nil, fmt.Errorf("the VM has no work disk and COW layer: %v", sizes)
	}
	mkfs = []string{
		"mke2fs", "-q", "-F", "-t", "ext4", "-d", "/etc/skel", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard",
		homeFile, fmt.Sprintf("%dk", sizes[disk.SlotWork]>>10),
	}
	return sizes[disk.SlotLayer], mkfs, nil
}

// floorVM is a running floor.
type floorVM struct {
	dir        string
	cmd        *exec.Cmd
	line, echo net.Conn
	in         *bufio.Reader
	held       []io.Closer // until its end

	disks            time.Duration // making them
	started, reached time.Time     // its VMM, and its ports
}

// boot makes the disks and starts a VM; the guest is waited for only where its
// ports cannot be reached without it.
func (f *floor) boot(ctx context.Context) (_ *floorVM, err error) {
	vm := &floorVM{}
	if vm.dir, err = os.MkdirTemp(f.dir, "vm-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, vm.end())
		}
	}()
	begin := time.Now()
	if err := f.makeDisks(ctx, vm.dir); err != nil {
		return nil, err
	}
	vm.disks = time.Since(begin)
	return vm, f.hand.start(ctx, vm)
}

// makeDisks makes what a VM writes to, as one would by hand.
func (f *floor) makeDisks(ctx context.Context, dir string) error {
	layer := filepath.Join(dir, layerFile)
	if err := os.WriteFile(layer, nil, 0o600); err != nil {
		return err
	}
	if err := os.Truncate(layer, f.layerSize); err != nil {
		return err
	}
	mkfs := exec.CommandContext(ctx, f.mkfs[0], f.mkfs[1:]...)
	mkfs.Dir = dir
	if out, err := mkfs.CombinedOutput(); err != nil {
		return fmt.Errorf("mke2fs: %w: %s", err, out)
	}
	return nil
}

// spawn starts the VMM.
func (vm *floorVM) spawn(cmd *exec.Cmd) error {
	cmd.Dir, cmd.Stderr = vm.dir, os.Stderr
	vm.started = time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	vm.cmd = cmd
	return nil
}

func (vm *floorVM) connected(line, echo net.Conn) {
	vm.line, vm.echo, vm.in, vm.reached = line, echo, bufio.NewReader(line), time.Now()
}

// run runs a command in the guest, which may still be booting.
func (vm *floorVM) run(command string) (string, error) {
	if err := vm.line.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(vm.line, "E %s\n", command); err != nil {
		return "", err
	}
	var code, length int
	head, err := vm.in.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("the floor's guest did not answer: %w; its console: %s", err, vm.console())
	}
	if _, err := fmt.Sscanf(head, "%d %d\n", &code, &length); err != nil || length < 0 || length > 1<<20 {
		return "", fmt.Errorf("the floor's guest answered %q", head)
	}
	out := make([]byte, length)
	if _, err := io.ReadFull(vm.in, out); err != nil {
		return "", err
	}
	if code != 0 {
		return "", fmt.Errorf("%q in the floor's guest ended with %d: %s", command, code, out)
	}
	return string(out), nil
}

// ping sends a line through the guest and back.
func (vm *floorVM) ping(line []byte) error {
	if err := vm.echo.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := vm.echo.Write(line); err != nil {
		return err
	}
	_, err := io.ReadFull(vm.echo, make([]byte, len(line)))
	return err
}

func (vm *floorVM) console() string {
	b, err := os.ReadFile(filepath.Join(vm.dir, "console.log"))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-2000):])
}

// end ends the VM and removes its files.
func (vm *floorVM) end() error {
	var err error
	if vm.cmd != nil {
		err = vm.cmd.Process.Kill()
		_ = vm.cmd.Wait() // killed, as we asked
	}
	for _, c := range []net.Conn{vm.line, vm.echo} {
		if c != nil {
			c.Close()
		}
	}
	for _, c := range vm.held {
		err = errors.Join(err, c.Close())
	}
	return errors.Join(err, os.RemoveAll(vm.dir))
}
