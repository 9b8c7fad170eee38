package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/vmm"
)

// hostEnv is the variable with the socket of the process that runs the guests.
// It stands for what a kernel does for a real VMM: a monitor and what it starts
// have given up all new privileges, which a guest's root must be able to give.
const hostEnv = "FAKEVMM_HOST"

// roleHost is the first argument of that process.
const roleHost = "host"

// hostMessage is what the host tells a VMM, a line each. With the first one
// come the masters of the console and the port.
type hostMessage struct {
	PID    int                  `json:"pid,omitempty"` // the guest's first process
	Drives map[disk.Slot]string `json:"drives,omitempty"`
	Error  string               `json:"error,omitempty"`
	Ended  string               `json:"ended,omitempty"` // vmm.ExitPoweroff or vmm.ExitReset
	Panic  string               `json:"panic,omitempty"` // what a kernel would say before
	// Released: all is written to the drives' files, and nothing holds them.
	Released bool `json:"released,omitempty"`
}

// serveGuests runs a guest for each connection, with whose end it ends.
func serveGuests(socket string) error {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return err
	}
	// In it each guest mounts its root, for itself alone.
	root := socket + ".root"
	if err := os.MkdirAll(root, 0o700); err != nil {
		return err
	}
	fmt.Println("ready")
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			if err := serveGuest(conn, root); err != nil {
				fmt.Fprintln(os.Stderr, "fakevmm host:", err)
				_ = json.NewEncoder(conn).Encode(hostMessage{Error: err.Error()}) // it may be gone
			}
		}()
	}
}

// hosted is a guest as its host has it.
type hosted struct {
	root    string
	spec    vmm.Spec
	console *os.File // the slaves of its terminals, which go with it
	port    *os.File
	drives  map[disk.Slot]*drive

	mu    sync.Mutex
	guest int // 0 before and after it runs
}

func serveGuest(conn *net.UnixConn, root string) error {
	runtime.LockOSThread() // the guest ends with the thread that started it
	h := &hosted{root: root, drives: map[disk.Slot]*drive{}}
	if err := json.NewDecoder(conn).Decode(&h.spec); err != nil {
		return fmt.Errorf("reading what to run: %w", err)
	}
	defer h.release()
	cmd, masters, err := h.start()
	for _, f := range masters {
		defer f.Close()
	}
	if err != nil {
		return err
	}
	go func() {
		_, _ = conn.Read(make([]byte, 1)) // until its end
		h.kill()
	}()
	first := hostMessage{PID: cmd.Process.Pid, Drives: map[disk.Slot]string{}}
	for slot, d := range h.drives {
		first.Drives[slot] = d.stat()
	}
	line, err := json.Marshal(first)
	if err == nil {
		_, _, err = conn.WriteMsgUnix(append(line, '\n'), unix.UnixRights(int(masters[0].Fd()), int(masters[1].Fd())), nil)
	}
	if err != nil {
		h.kill()
	}
	_ = cmd.Wait() // how it ended is in its state
	said := h.ended(cmd.ProcessState)
	for _, f := range []*os.File{h.console, h.port} {
		f.Close()
	}
	_ = json.NewEncoder(conn).Encode(said) // it may be gone
	if err := h.release(); err != nil {
		return err
	}
	_ = json.NewEncoder(conn).Encode(hostMessage{Released: true})
	return nil
}

// start makes the guest's first process, and gives the masters of its terminals.
func (h *hosted) start() (_ *exec.Cmd, masters []*os.File, err error) {
	p, err := h.plan()
	if err != nil {
		return nil, nil, err
	}
	for _, tty := range []struct {
		raw   bool
		slave **os.File
		path  *string
	}{{false, &h.console, &p.Console}, {true, &h.port, &p.Port}} {
		var master *os.File
		if master, *tty.slave, *tty.path, err = openTTY(tty.raw); err != nil {
			return nil, masters, err
		}
		masters = append(masters, master)
	}
	described, err := json.Marshal(p)
	if err != nil {
		return nil, masters, err
	}
	cmd := exec.Command("/proc/self/exe", roleGuest)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = h.console, h.console, h.console
	cmd.Env = []string{planEnv + "=" + string(described)}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid: true, Pdeathsig: syscall.SIGKILL,
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWNET,
	}
	if err := hold(); err != nil {
		return nil, masters, err
	}
	err = cmd.Start()
	if err := errors.Join(err, let()); err != nil {
		return nil, masters, fmt.Errorf("starting the guest: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.guest = cmd.Process.Pid
	return cmd, masters, nil
}

// kill ends the guest with its VMM.
func (h *hosted) kill() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.guest != 0 {
		_ = syscall.Kill(h.guest, syscall.SIGKILL) // not collected yet: it is no other's number
	}
}

// ended says how the guest ended.
func (h *hosted) ended(state *os.ProcessState) hostMessage {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.guest = 0
	status, ok := state.Sys().(syscall.WaitStatus)
	switch {
	case ok && status.Signaled() && status.Signal() == syscall.SIGINT: // reboot(2) in a PID namespace
		return hostMessage{Ended: vmm.ExitPoweroff}
	case ok && status.Signaled() && status.Signal() == syscall.SIGHUP:
		return hostMessage{Ended: vmm.ExitReset}
	}
	return hostMessage{Ended: vmm.ExitReset, Panic: fmt.Sprintf("Kernel panic - not syncing: Attempted to kill init! exitcode=0x%08x", uint32(status))}
}

// release lets go of the drives and waits until all is written to their files.
func (h *hosted) release() error {
	drives := h.drives
	h.drives = nil
	for _, d := range drives {
		d.close()
	}
	var errs []error
	for _, d := range h.spec.Drives {
		if !d.ReadOnly && drives[d.Slot] != nil {
			errs = append(errs, awaitFree(h.path(d)))
		}
	}
	return errors.Join(errs...)
}
