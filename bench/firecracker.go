package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/precheck"
)

// firecrackerHand drives Firecracker by hand: a configuration file, no API.
type firecrackerHand struct {
	program string
	config  []byte
}

// The floor's own names of its files, and its ports.
const (
	configFile  = "config.json"
	vsockSocket = "v.sock"
	linePort    = 1
	echoPort    = 2
)

// newFirecrackerHand takes the machine from the process that runs it.
func newFirecrackerHand(ctx context.Context, c floorConfig, spec vmm.Spec, initramfs string) (*firecrackerHand, error) {
	told, err := vmConfig(ctx, filepath.Join(c.vm.Dir, "fc", "api.sock"))
	if err != nil {
		return nil, fmt.Errorf("asking Firecracker what machine it runs: %w", err)
	}
	config, err := handConfig(told, spec, initramfs)
	return &firecrackerHand{program: c.vmm, config: config}, err
}

// vmConfig is what a running Firecracker says of its machine.
func vmConfig(ctx context.Context, socket string) ([]byte, error) {
	c := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true,
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://firecracker/vm/config", nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return body, err
}

// handConfig turns the configuration of a VM into the floor's: its own
// initramfs, work disk and COW layer, and no log.
func handConfig(told []byte, spec vmm.Spec, initramfs string) ([]byte, error) {
	var config map[string]any
	if err := json.Unmarshal(told, &config); err != nil {
		return nil, err
	}
	boot, _ := config["boot-source"].(map[string]any)
	vsock, _ := config["vsock"].(map[string]any)
	drives, _ := config["drives"].([]any)
	if boot == nil || vsock == nil || len(drives) != len(spec.Drives) {
		return nil, fmt.Errorf("it is not the machine that the VM was launched with: %s", told)
	}
	boot["kernel_image_path"], boot["initrd_path"] = spec.Kernel, initramfs
	vsock["uds_path"] = vsockSocket
	for i, d := range spec.Drives {
		drive, _ := drives[i].(map[string]any)
		if drive == nil || drive["drive_id"] != string(d.Slot) {
			return nil, fmt.Errorf("its drive %d is not %s: %v", i, d.Slot, drives[i])
		}
		switch d.Slot {
		case disk.SlotWork:
			drive["path_on_host"] = homeFile
		case disk.SlotLayer:
			drive["path_on_host"] = layerFile
		default:
			drive["path_on_host"] = precheck.DrivePath(spec, d)
		}
	}
	for key, value := range config {
		if value == nil || key == "logger" || key == "metrics" {
			delete(config, key)
		}
	}
	return json.MarshalIndent(config, "", "  ")
}

func (f *firecrackerHand) start(ctx context.Context, vm *floorVM) error {
	if err := os.WriteFile(filepath.Join(vm.dir, configFile), f.config, 0o600); err != nil {
		return err
	}
	console, err := os.Create(filepath.Join(vm.dir, "console.log"))
	if err != nil {
		return err
	}
	in, keep, err := os.Pipe() // a serial line that nobody types on
	if err != nil {
		return errors.Join(err, console.Close())
	}
	vm.held = append(vm.held, keep, in, console)
	cmd := exec.CommandContext(ctx, f.program, "--no-api", "--config-file", configFile)
	cmd.Stdin, cmd.Stdout = in, console
	if err := vm.spawn(cmd); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	line, err := dialVsock(ctx, vm.dir, linePort)
	if err != nil {
		return fmt.Errorf("the floor's guest cannot be reached: %w; its console: %s", err, vm.console())
	}
	echo, err := dialVsock(ctx, vm.dir, echoPort)
	if err != nil {
		return errors.Join(fmt.Errorf("the floor's guest cannot be reached: %w", err), line.Close())
	}
	vm.connected(line, echo)
	return nil
}

// dialVsock connects to a port of the guest, as soon as it listens.
func dialVsock(ctx context.Context, dir string, port int) (net.Conn, error) {
	for {
		conn, err := tryVsock(ctx, filepath.Join(dir, vsockSocket), port)
		if err == nil {
			return conn, nil
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func tryVsock(ctx context.Context, socket string, port int) (_ net.Conn, err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer func() {
		if err != nil {
			conn.Close()
		}
	}()
	if _, err := fmt.Fprintf(conn, "CONNECT %d\n", port); err != nil {
		return nil, err
	}
	answer, b := "", make([]byte, 1) // no byte more than the line is read
	for !strings.HasSuffix(answer, "\n") && len(answer) < 24 {
		if _, err := conn.Read(b); err != nil {
			return nil, err
		}
		answer += string(b)
	}
	if !strings.HasPrefix(answer, "OK ") {
		return nil, fmt.Errorf("the vsock answers %q", answer)
	}
	return conn, nil
}
