package firecracker

import (
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/vmmtest/lab"
)

// whereItWaits stops a process's first thread at the entry of a call that waits
// for events, where it holds no lock: Firecracker's handler of signals would
// wait for that for ever.
func whereItWaits(pid int, do func(regs *syscall.PtraceRegs) error) error {
	runtime.LockOSThread() // a process is traced by a thread
	defer runtime.UnlockOSThread()
	if err := syscall.PtraceAttach(pid); err != nil {
		return err
	}
	defer func() { _ = syscall.PtraceDetach(pid) }()
	next := func() (status syscall.WaitStatus, err error) {
		_, err = syscall.Wait4(pid, &status, syscall.WALL, nil)
		return status, err
	}
	_, err := next()
	if err == nil {
		err = syscall.PtraceSetOptions(pid, syscall.PTRACE_O_TRACESYSGOOD)
	}
	var regs syscall.PtraceRegs
	for atEntry := false; err == nil && !atEntry; {
		if err = syscall.PtraceSyscall(pid, 0); err != nil {
			break
		}
		status, waited := next()
		if err = waited; err == nil && status.StopSignal() == syscall.SIGTRAP|0x80 {
			err = syscall.PtraceGetRegs(pid, &regs)
			waits := regs.Orig_rax == unix.SYS_EPOLL_PWAIT || regs.Orig_rax == unix.SYS_EPOLL_WAIT
			atEntry = waits && int64(regs.Rax) == -int64(unix.ENOSYS)
		}
	}
	if err != nil {
		return err
	}
	return do(&regs)
}

// A signal that Firecracker catches is told by its name.
func TestRealSignalIsNamed(t *testing.T) {
	endIsNamed(t, func(pid int) error {
		return whereItWaits(pid, func(*syscall.PtraceRegs) error { return unix.Tgkill(pid, pid, unix.SIGSEGV) })
	}, "it caught SIGSEGV")
}

// A VMM that its own filter stopped is told as such.
func TestRealSeccomp(t *testing.T) {
	endIsNamed(t, func(pid int) error {
		return whereItWaits(pid, func(regs *syscall.PtraceRegs) error {
			regs.Orig_rax = unix.SYS_PTRACE // which the filter forbids, in place of the waiting
			return syscall.PtraceSetRegs(pid, regs)
		})
	}, filtered)
}

// endIsNamed ends a real Firecracker. Its parent tells why, and so does a later
// monitor that finds only what it left.
func endIsNamed(t *testing.T, end func(pid int) error, why string) {
	t.Helper()
	cfg := realConfig(t)
	kernel, initramfs := lab.Needs(t)
	for _, adopted := range []bool{false, true} {
		spec := fakeSpec(t)
		spec.Kernel, spec.Initramfs = kernel, initramfs
		m, err := newReal(t, cfg).Start(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		if adopted {
			if err := m.Close(); err != nil {
				t.Error(err)
			}
			if m, err = newReal(t, cfg).Connect(t.Context(), spec); err != nil {
				t.Fatal(err)
			}
		}
		if err := end(m.Facts().PID); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := within(t, time.Minute)
		exit, err := m.Wait(ctx)
		cancel()
		if err != nil || exit.Reason != vmm.ExitCrashed || !strings.Contains(exit.Detail, why) {
			t.Errorf("adopted %v: Wait = %+v, %v", adopted, exit, err)
		}
		if last, err := newReal(t, cfg).LastExit(t.Context(), spec); err != nil || !strings.Contains(last.Detail, why) {
			t.Errorf("LastExit = %+v, %v", last, err)
		}
		if t.Failed() {
			_ = m.Kill(t.Context())
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}
