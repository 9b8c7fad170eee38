package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// qemuHand drives QEMU by hand.
type qemuHand struct {
	program string
	args    []string
}

// newQEMUHand does what a running VM's QEMU was told to.
func newQEMUHand(c floorConfig, initramfs string) (*qemuHand, error) {
	args, err := machineArgs(c.vm.Boot.VMMPID)
	if err != nil {
		return nil, err
	}
	args, err = floorArgs(args, c.vm.Dir, initramfs)
	return &qemuHand{program: c.vmm, args: args}, err
}

func (q *qemuHand) start(ctx context.Context, vm *floorVM) error {
	var listeners []*net.UnixListener
	for _, name := range []string{lineSocket, echoSocket} {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Join(vm.dir, name)})
		if err != nil {
			return err
		}
		defer l.Close()
		listeners = append(listeners, l)
	}
	if err := vm.spawn(exec.CommandContext(ctx, q.program, q.args...)); err != nil {
		return err
	}
	conns := make([]net.Conn, len(listeners))
	for i, l := range listeners {
		err := l.SetDeadline(time.Now().Add(10 * time.Second))
		if err == nil {
			conns[i], err = l.Accept()
		}
		if err != nil {
			return fmt.Errorf("the floor's QEMU did not connect: %w", err)
		}
	}
	vm.connected(conns[0], conns[1])
	return nil
}

// machineArgs are the QEMU arguments of a running VM, from its process: so
// the floor has the very same machine, kernel and base disk.
func machineArgs(pid int) ([]string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return nil, fmt.Errorf("reading the VMM's command line: %w", err)
	}
	args := strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
	if !strings.Contains(filepath.Base(args[0]), "qemu-system") {
		return nil, fmt.Errorf("the VMM is %s, but the floor is QEMU", args[0])
	}
	return args[1:], nil
}

// The names of the floor's own files, in its directory.
const (
	layerFile  = "layer.img"
	homeFile   = "home.img"
	lineSocket = "line.sock"
	echoSocket = "echo.sock"
)

// plain are QEMU's options that have no value.
var plain = []string{"-nodefaults", "-no-user-config", "-no-reboot", "-S", "-nographic", "-daemonize"}

// floorArgs turns a VM's arguments into the floor's: no control socket, no
// start in the paused state, its own initramfs, disks and ports. vmDir is
// where the VM's relative names lead.
func floorArgs(args []string, vmDir, initramfs string) ([]string, error) {
	var out []string
	for i := 0; i < len(args); i++ {
		option := args[i]
		if slices.Contains(plain, option) {
			if option != "-S" {
				out = append(out, option)
			}
			continue
		}
		i++
		if i == len(args) {
			return nil, fmt.Errorf("QEMU's option %s has no value", option)
		}
		value := args[i]
		switch option {
		case "-name", "-mon", "-chardev", "-D", "-trace", "-serial":
			continue
		case "-netdev":
			value = "user,id=net" // QEMU's own
		case "-initrd":
			value = initramfs
		case "-device":
			if strings.HasPrefix(value, "virtserialport,") {
				value = "virtserialport,chardev=line,name=floor.line"
			}
		case "-blockdev":
			var err error
			if value, err = floorDrive(value, vmDir); err != nil {
				return nil, err
			}
		}
		out = append(out, option, value)
	}
	return append(
		out,
		"-chardev", "file,id=console,path=console.log", "-serial", "chardev:console",
		"-chardev", "socket,id=line,path="+lineSocket,
		"-chardev", "socket,id=echo,path="+echoSocket,
		"-device", "virtserialport,chardev=echo,name=floor.echo",
	), nil
}

// floorDrive gives the floor its own writable disks, and the VM's others.
func floorDrive(blockdev, vmDir string) (string, error) {
	var node map[string]any
	if err := json.Unmarshal([]byte(blockdev), &node); err != nil {
		return "", fmt.Errorf("QEMU's drive %s: %w", blockdev, err)
	}
	file, ok := node["file"].(map[string]any)
	if !ok {
		return "", fmt.Errorf("QEMU's drive %s has no file", blockdev)
	}
	name, _ := file["filename"].(string)
	switch {
	case node["node-name"] == "vdb":
		name = homeFile
	case node["node-name"] == "vdc":
		name = layerFile
	case !filepath.IsAbs(name):
		name = filepath.Join(vmDir, name)
	}
	file["filename"] = name
	b, err := json.Marshal(node)
	return string(b), err
}
