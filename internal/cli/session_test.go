package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/cli/app"
)

// prepare prepares a run of banger against a fake daemon.
func prepare(t *testing.T, args ...string) (*exec.Cmd, *fake) {
	t.Helper()
	f := newFake(t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	socket, err := f.serve(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "banger", args...)
	cmd.Env = append(os.Environ(), "BANGER_SOCKET="+socket, "BANGER_STATE_DIR="+filepath.Join(f.dir, "state"))
	return cmd, f
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	if err == nil {
		return 0
	}
	if !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return exit.ExitCode()
}

// begun waits until the daemon was asked for an operation of a kind.
func (f *fake) begun(t *testing.T, entry string) {
	t.Helper()
	for range 1000 {
		f.mu.Lock()
		found := slices.Contains(f.log, entry)
		f.mu.Unlock()
		if found {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%q was never asked for", entry)
}

func TestInterruptedCreateIsTakenBack(t *testing.T) {
	for _, args := range [][]string{{"create", "-n", "x", "slow"}, {"run", "-n", "x", "slow", "true"}, {"run", "--rm", "-n", "x", "slow", "true"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			cmd, f := prepare(t, args...)
			var errOut bytes.Buffer
			cmd.Stderr = &errOut
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			f.begun(t, "vm.create x")
			cmd.Process.Signal(syscall.SIGINT)
			if code := exitCode(t, cmd.Wait()); code != app.ExitInterrupted {
				t.Errorf("exit code %d, want %d; %s", code, app.ExitInterrupted, &errOut)
			}
			f.begun(t, "cancel x")
			if f.vms["x"] != nil {
				t.Error("the VM is there")
			}
		})
	}
}

func TestInterruptedStopGoesOn(t *testing.T) {
	cmd, f := prepare(t, "stop", "slow")
	f.add("slow", api.StateRunning)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f.begun(t, "vm.stop slow")
	ticks := time.NewTicker(100 * time.Millisecond) // a signal before banger knows the operation is not 3
	go func() {
		for range ticks.C {
			cmd.Process.Signal(syscall.SIGTERM)
		}
	}()
	defer ticks.Stop()
	if code := exitCode(t, cmd.Wait()); code != app.ExitInterrupted || !strings.Contains(errOut.String(), "banger op show 0p") {
		t.Errorf("exit code %d, stderr %q", code, &errOut)
	}
	if f.ops[0].State.Final() {
		t.Error("the stop was cancelled")
	}
}

// started runs banger until its command has written its first line.
func started(t *testing.T, args ...string) (*exec.Cmd, *fake, *bufio.Reader) {
	t.Helper()
	cmd, f := prepare(t, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return cmd, f, r
}

func TestSignalsReachTheCommand(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		cmd, f, _ := started(t, "run", "--rm", "-n", "x", "debian", "sleep")
		cmd.Process.Signal(sig)
		if code := exitCode(t, cmd.Wait()); code != 128+int(sig) {
			t.Errorf("after %v: exit code %d", sig, code)
		}
		f.begun(t, "vm.delete x")
	}
}

func TestThirdSignalGivesUp(t *testing.T) {
	cmd, f, r := started(t, "run", "--rm", "-n", "x", "debian", "deaf")
	for range 3 - 1 {
		cmd.Process.Signal(syscall.SIGINT)
		if line, _ := r.ReadString('\n'); line != "signal 2\n" {
			t.Fatalf("the command got %q", line)
		}
	}
	cmd.Process.Signal(syscall.SIGINT)
	if code := exitCode(t, cmd.Wait()); code != app.ExitInterrupted {
		t.Errorf("exit code %d", code)
	}
	f.begun(t, "vm.delete x")
}

func TestClosedPipe(t *testing.T) {
	cmd, _ := prepare(t)
	script := exec.CommandContext(t.Context(), "sh", "-c", "{ banger exec web yes; echo $? >&2; } | head -n 1")
	script.Env = cmd.Env
	out, err := script.CombinedOutput()
	if err != nil || string(out) != "y\n141\n" {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestTerminal(t *testing.T) {
	cmd, _ := prepare(t, "exec", "-it", "web", "size")
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 30, Cols: 90})
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	r := bufio.NewReader(tty)
	if line, _ := r.ReadString('\n'); line != "30x90\r\n" {
		t.Errorf("the command's terminal is %q", line)
	}
	if err := pty.Setsize(tty, &pty.Winsize{Rows: 40, Cols: 100}); err != nil {
		t.Fatal(err)
	}
	if line, _ := r.ReadString('\n'); line != "40x100\r\n" {
		t.Errorf("the command's new terminal is %q", line)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestTerminalIsRaw(t *testing.T) {
	cmd, _ := prepare(t, "exec", "-it", "web", "cat")
	tty, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	for cooked := true; cooked; time.Sleep(10 * time.Millisecond) {
		termios, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		cooked = termios.Lflag&unix.ISIG != 0
	}
	tty.Write([]byte{3, 4}) // Ctrl-C and Ctrl-D are the guest's
	got := make([]byte, 2)
	if _, err := io.ReadFull(tty, got); err != nil || !bytes.Equal(got, []byte{3, 4}) {
		t.Errorf("got %q, %v", got, err)
	}
	cmd.Process.Kill()
	cmd.Wait()
}

// A console's terminal is raw while somebody sits there, and as before
// when that one leaves, or the VM ends.
func TestConsoleTerminal(t *testing.T) {
	for name, c := range map[string]struct{ typed, last, said string }{
		"leaving":     {"a\x03b", "\x1dc", "left the console of web"},
		"the VM ends": {"x", "Q", "the VM web has ended"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd, _ := prepare(t, "console", "web")
			tty, its, err := pty.Open()
			if err != nil {
				t.Fatal(err)
			}
			defer tty.Close()
			before, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			cmd.Stdin, cmd.Stdout, cmd.Stderr = its, its, its
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := errors.Join(cmd.Start(), its.Close()); err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(tty)
			said := func(want string) {
				t.Helper()
				var all []byte
				for !bytes.HasSuffix(all, []byte(want)) {
					b, err := r.ReadByte()
					if all = append(all, b); err != nil {
						t.Fatalf("waiting for %q: %q, %v", want, all, err)
					}
				}
			}
			said("Ctrl-] leaves.")
			said("\x1b[1mlogin:")
			for cooked := true; cooked; time.Sleep(10 * time.Millisecond) {
				now, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
				if err != nil {
					t.Fatal(err)
				}
				cooked = now.Lflag&unix.ISIG != 0
			}
			tty.WriteString(c.typed)
			said(c.typed)
			tty.WriteString(c.last)
			said(c.said)
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
			if after, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS); err != nil || *after != *before {
				t.Errorf("the terminal is %+v, was %+v: %v", after, before, err)
			}
		})
	}
}

// BenchmarkList is "banger ls" as a whole process, with 1,000 VMs.
func BenchmarkList(b *testing.B) {
	f := newFake(b.TempDir())
	for i := range 1000 {
		f.add(fmt.Sprintf("vm-%d", i), api.StateRunning)
	}
	socket, err := f.serve(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		cmd := exec.Command("banger", "ls")
		cmd.Env = append(os.Environ(), "BANGER_SOCKET="+socket)
		if out, err := cmd.Output(); err != nil || bytes.Count(out, []byte("\n")) != 1003 {
			b.Fatal(err)
		}
	}
}
