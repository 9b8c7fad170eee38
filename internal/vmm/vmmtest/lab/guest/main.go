// Command guest is the /init of the drivers' real-VM tests: it loads the
// modules of banger's initramfs and runs the conformance suite's script, on a
// virtio-serial port or on vsock.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/vmm/vmmtest/script"
)

func main() {
	if err := run(); err != nil {
		fmt.Println("VMMTEST GUEST FAILED:", err)
	}
	reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

func reboot(how int) {
	unix.Sync()
	fmt.Println("VMMTEST GUEST ENDS:", unix.Reboot(how))
}

func run() error {
	for fs, dir := range map[string]string{"proc": "/proc", "sysfs": "/sys", "devtmpfs": "/dev"} {
		if err := unix.Mount(fs, dir, fs, 0, ""); err != nil {
			return fmt.Errorf("mounting %s: %w", dir, err)
		}
	}
	console, err := os.OpenFile("/dev/ttyS0", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	cmdline, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	if strings.Contains(string(cmdline), wire.ArgProbe) {
		_, err := fmt.Fprintln(console, wire.ProbeAnswer)
		return err
	}
	if strings.Contains(string(cmdline), "vmmtest.panic") {
		os.Exit(3) // of the first process: a panic
	}
	if err := loadModules(); err != nil {
		return err
	}
	serve, err := openChannel()
	if err != nil {
		return err
	}
	go func() { fmt.Println("console ended:", script.Console(console)) }()
	return serve(script.Actions{
		Poweroff: func() { reboot(unix.LINUX_REBOOT_CMD_POWER_OFF) },
		Reset:    func() { reboot(unix.LINUX_REBOOT_CMD_RESTART) },
		Write:    write,
		Drives:   drives,
		Clock:    clock,
	})
}

// openChannel opens what the machine has to reach its host with.
func openChannel() (func(script.Actions) error, error) {
	for range 500 {
		if port, err := openPort(); err == nil {
			return func(act script.Actions) error { return script.Serve(waiting{port}, act) }, nil
		}
		if fd, err := listenVsock(); err == nil {
			return func(act script.Actions) error { return serveVsock(fd, act) }, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, errors.New("there is neither an agent port nor vsock")
}

func listenVsock() (int, error) {
	if _, err := os.Stat("/dev/vsock"); err != nil {
		return 0, err
	}
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	err = unix.Bind(fd, &unix.SockaddrVM{CID: unix.VMADDR_CID_ANY, Port: wire.VsockPort})
	if err == nil {
		err = unix.Listen(fd, 8)
	}
	return fd, err
}

// serveVsock serves connections side by side.
func serveVsock(fd int, act script.Actions) error {
	for {
		conn, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		if err != nil {
			return err
		}
		go func() {
			f := os.NewFile(uintptr(conn), "vsock")
			defer f.Close()
			_ = script.Serve(f, act) // ends with its connection
		}()
	}
}

func loadModules() error {
	list, err := os.ReadFile("/modules.list")
	if err != nil {
		return err
	}
	for name := range strings.FieldsSeq(string(list)) {
		f, err := os.Open(filepath.Join("/modules", name))
		if err != nil {
			return err
		}
		if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("%s: %w", name, err)
		}
		f.Close()
	}
	return nil
}

func openPort() (*os.File, error) {
	names, err := filepath.Glob("/sys/class/virtio-ports/*/name")
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		if b, err := os.ReadFile(n); err == nil && string(bytes.TrimSpace(b)) == wire.PortName {
			return os.OpenFile("/dev/"+filepath.Base(filepath.Dir(n)), os.O_RDWR, 0)
		}
	}
	return nil, errors.New("there is no agent port")
}

// waiting reads on where the port says that the host is away.
type waiting struct{ *os.File }

func (w waiting) Read(p []byte) (int, error) {
	for {
		n, err := w.File.Read(p)
		if n > 0 || !errors.Is(err, io.EOF) {
			return n, err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Write waits for a host to come: without one the port refuses.
func (w waiting) Write(p []byte) (int, error) {
	for {
		n, err := w.File.Write(p)
		if err == nil || n > 0 {
			return n, err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func write() {
	f, err := os.OpenFile("/dev/vdb", os.O_WRONLY, 0)
	if err == nil {
		_, err = f.Write(bytes.Repeat([]byte{0xa5}, script.WriteSize))
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err != nil {
		fmt.Println("VMMTEST WRITE FAILED:", err)
		reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	}
}

func clock() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0
	}
	return time.Duration(now.Nano())
}

func drives() string {
	var sizes []string
	for c := 'a'; ; c++ {
		b, err := os.ReadFile("/sys/block/vd" + string(c) + "/size")
		if err != nil {
			return strings.Join(sizes, " ")
		}
		sizes = append(sizes, strings.TrimSpace(string(b)))
	}
}
