package fakefc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/vmm/firecracker/fcapi"
	"github.com/banger-vm/banger/internal/vmm/vmmtest/script"
)

// guest runs the conformance suite's script.
type guest struct {
	vm    *instance
	gate  gate
	began time.Time
	off   chan struct{} // closed when it has powered off
	once  sync.Once
}

func newGuest(vm *instance) *guest {
	g := &guest{vm: vm, began: time.Now(), off: make(chan struct{})}
	g.gate.open()
	return g
}

// run has a thread that looks like a vCPU, and moves until a power-off.
func (g *guest) run() {
	go func() { _ = script.Console(g.gated(stdio{})) }() // ends with the process
	runtime.LockOSThread()
	comm := fmt.Sprintf("/proc/self/task/%d/comm", unix.Gettid())
	if err := os.WriteFile(comm, []byte("fc_vcpu 0"), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
	}
	for {
		select {
		case <-g.off: // halted for good
			var set unix.FdSet
			_, _ = unix.Pselect(0, &set, nil, nil, nil, nil)
		default:
			ts := unix.Timespec{Nsec: 10_000_000}
			_ = unix.Nanosleep(&ts, nil)
		}
	}
}

func (g *guest) powerOff() {
	g.once.Do(func() {
		fmt.Println("[    1.234567] reboot: Power down")
		close(g.off)
	})
	select {}
}

func (g *guest) reset() {
	g.vm.mu.Lock()
	g.vm.counts["reset"]++
	g.vm.mu.Unlock()
	g.vm.exit(0)
}

// write writes to the work disk, no faster than it may.
func (g *guest) write() {
	drive := g.vm.order[1]
	if l := drive.Limit; l != nil && l.Bytes != nil && l.Bytes.Size < script.WriteSize {
		rest := time.Duration(script.WriteSize-l.Bytes.Size) * time.Millisecond // the first bucket is full
		time.Sleep(rest * time.Duration(l.Bytes.RefillMS) / time.Duration(l.Bytes.Size))
	}
	f, err := os.OpenFile(drive.Path, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.Write(make([]byte, script.WriteSize))
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		g.powerOff()
	}
	g.vm.mu.Lock()
	defer g.vm.mu.Unlock()
	g.vm.counts["written"] += script.WriteSize
	g.vm.counts["writes"]++
}

func (g *guest) drives() string {
	g.vm.mu.Lock()
	defer g.vm.mu.Unlock()
	var sizes []string
	for _, drive := range g.vm.order {
		sizes = append(sizes, fmt.Sprint(g.vm.sizes[drive.ID]/512))
	}
	return strings.Join(sizes, " ")
}

// listen opens the vsock's socket, which must not exist.
func (vm *instance) listen(v *fcapi.Vsock) error {
	if vm.vsock != nil {
		vm.vsock.(*net.UnixListener).SetUnlinkOnClose(false)
		_ = vm.vsock.Close()
	}
	l, err := net.Listen("unix", v.Socket)
	if err != nil {
		return refusal("Vsock config error: Cannot create backend for vsock device: UnixBind(Os { code: 98, kind: AddrInUse, message: \"Address in use\" })")
	}
	vm.vsock = l
	return nil
}

// accept serves the vsock.
func (g *guest) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go g.serve(conn)
	}
}

func (g *guest) serve(conn net.Conn) {
	defer conn.Close()
	g.gate.wait()
	var line [32]byte
	n := 0
	for ; n < len(line) && (n == 0 || line[n-1] != '\n'); n++ {
		if _, err := conn.Read(line[n : n+1]); err != nil {
			return
		}
	}
	if string(line[:n]) != "CONNECT 1024\n" {
		return
	}
	if _, err := io.WriteString(conn, "OK 1073741824\n"); err != nil {
		return
	}
	_ = script.Serve(g.gated(conn), script.Actions{ // ends with the connection
		Poweroff: g.powerOff, Reset: g.reset, Write: g.write, Drives: g.drives,
		Clock: func() time.Duration { return time.Since(g.began) },
	})
}

// stdio is the serial line. A full pipe loses what is written.
type stdio struct{}

func (stdio) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(0, p)
		if !errors.Is(err, unix.EAGAIN) {
			return max(n, 0), err
		}
		time.Sleep(time.Millisecond)
	}
}

func (stdio) Write(p []byte) (int, error) {
	if n, err := unix.Write(1, p); err != nil && !errors.Is(err, unix.EAGAIN) {
		return max(n, 0), err
	}
	return len(p), nil
}

// gated passes only while the guest runs.
func (g *guest) gated(rw io.ReadWriter) io.ReadWriter {
	return struct {
		io.Reader
		io.Writer
	}{bufio.NewReader(rw), gatedWriter{g, rw}}
}

type gatedWriter struct {
	g *guest
	w io.Writer
}

func (w gatedWriter) Write(p []byte) (int, error) {
	w.g.gate.wait()
	return w.w.Write(p)
}

// gate holds who waits while it is closed.
type gate struct {
	mu     sync.Mutex
	opened chan struct{}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened == nil {
		g.opened = make(chan struct{})
	}
	select {
	case <-g.opened:
	default:
		close(g.opened)
	}
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.opened = make(chan struct{})
}

func (g *gate) wait() {
	g.mu.Lock()
	opened := g.opened
	g.mu.Unlock()
	<-opened
}
