package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/banger-vm/banger/internal/kernel"
)

// floor is what banger is compared to: QEMU by hand, with an init that does
// nothing but the same work.
type floor struct {
	dir       string // of its VMs
	qemu      string
	args      []string
	layerSize int64    // of the COW layer, as banger has it
	mkfs      []string // that makes the home
}

// newFloor takes its machine from a running VM. goBuild builds the init.
func newFloor(ctx context.Context, dir, vmDir string, pid int) (*floor, error) {
	args, err := machineArgs(pid)
	if err != nil {
		return nil, err
	}
	init := filepath.Join(dir, "init")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", init, "./bench/floor")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the floor's init: %w\n%s", err, out)
	}
	initramfs := filepath.Join(dir, "initramfs.cpio")
	if err := writeInitramfs(initramfs, init, filepath.Join(filepath.Dir(argOf(args, "-kernel")), "modules")); err != nil {
		return nil, fmt.Errorf("making the floor's initramfs: %w", err)
	}
	f := &floor{dir: dir}
	if f.args, err = floorArgs(args, vmDir, initramfs); err != nil {
		return nil, err
	}
	if f.qemu, err = os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err != nil {
		return nil, err
	}
	f.layerSize, f.mkfs, err = disksLike(args, vmDir)
	return f, err
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
func disksLike(args []string, vmDir string) (layer int64, mkfs []string, err error) {
	sizes := map[string]int64{}
	for i, arg := range args {
		if i == 0 || args[i-1] != "-blockdev" {
			continue
		}
		for _, slot := range []string{"vdb", "vdc"} {
			if !strings.Contains(arg, `"node-name":"`+slot+`"`) {
				continue
			}
			_, rest, _ := strings.Cut(arg, `"filename":"`)
			name, _, _ := strings.Cut(rest, `"`)
			if !filepath.IsAbs(name) {
				name = filepath.Join(vmDir, name)
			}
			st, err := os.Stat(name)
			if err != nil {
				return 0, nil, err
			}
			sizes[slot] = st.Size()
		}
	}
	if len(sizes) != 2 {
		return 0, nil, fmt.Errorf("the VM has no work disk and COW layer: %v", sizes)
	}
	mkfs = []string{
		"mke2fs", "-q", "-F", "-t", "ext4", "-d", "/etc/skel", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard",
		homeFile, fmt.Sprintf("%dk", sizes["vdb"]>>10),
	}
	return sizes["vdc"], mkfs, nil
}

// floorVM is a running floor.
type floorVM struct {
	dir        string
	cmd        *exec.Cmd
	line, echo net.Conn
	in         *bufio.Reader
}

// boot makes the disks and starts a VM; the guest is not waited for.
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
	if err := f.makeDisks(ctx, vm.dir); err != nil {
		return nil, err
	}
	listeners, err := vm.listen()
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, l := range listeners {
			l.Close()
		}
	}()
	vm.cmd = exec.CommandContext(ctx, f.qemu, f.args...)
	vm.cmd.Dir, vm.cmd.Stderr = vm.dir, os.Stderr
	if err := vm.cmd.Start(); err != nil {
		vm.cmd = nil
		return nil, err
	}
	return vm, vm.accept(listeners)
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

func (vm *floorVM) listen() (out []*net.UnixListener, err error) {
	for _, name := range []string{lineSocket, echoSocket} {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Join(vm.dir, name)})
		if err != nil {
			return out, err
		}
		out = append(out, l)
	}
	return out, nil
}

func (vm *floorVM) accept(listeners []*net.UnixListener) (err error) {
	conns := make([]net.Conn, len(listeners))
	for i, l := range listeners {
		if err := l.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return err
		}
		if conns[i], err = l.Accept(); err != nil {
			return fmt.Errorf("the floor's QEMU did not connect: %w", err)
		}
	}
	vm.line, vm.echo = conns[0], conns[1]
	vm.in = bufio.NewReader(vm.line)
	return nil
}

// run runs a command in the guest, which may still be booting.
func (vm *floorVM) run(command string) (string, error) {
	if err := vm.line.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
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
	return errors.Join(err, os.RemoveAll(vm.dir))
}
