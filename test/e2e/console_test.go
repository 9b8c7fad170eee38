package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/banger-vm/banger/api"
)

// patience is how long a screen may take to show what it is to show.
const patience = time.Minute

// screen is a terminal with banger on it.
type screen struct {
	t    *testing.T
	tty  io.ReadWriteCloser
	cmd  *exec.Cmd
	end  func()
	size func(rows, cols uint16) error

	mu  sync.Mutex
	got bytes.Buffer
	at  int // what came before was looked at
}

// onScreen runs banger on a terminal of its own.
func (e *env) onScreen(t *testing.T, args ...string) *screen {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	s := &screen{t: t, cmd: e.command(ctx, args...), end: cancel}
	tty, err := pty.StartWithSize(s.cmd, &pty.Winsize{Rows: 30, Cols: 100})
	if err != nil {
		t.Fatal(err)
	}
	s.tty, s.size = tty, func(rows, cols uint16) error { return pty.Setsize(tty, &pty.Winsize{Rows: rows, Cols: cols}) }
	go func() { _, _ = io.Copy(s, tty) }() // ends with the program
	t.Cleanup(func() {
		cancel()
		tty.Close()
		if t.Failed() {
			t.Logf("the screen shows %q", s.text())
		}
	})
	return s
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got.Write(p)
}

func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got.String()
}

func (s *screen) keys(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.tty, text); err != nil {
		s.t.Fatal(err)
	}
}

// shows waits for a text after the last one that was waited for.
func (s *screen) shows(want string) {
	s.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if i := strings.Index(s.text()[s.at:], want); i >= 0 {
			s.at += i + len(want)
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("the screen does not show %q; it shows %q", want, clip(s.text()))
		}
	}
}

// code waits for the end of the program.
func (s *screen) code() int {
	s.t.Helper()
	_ = s.cmd.Wait() // the code tells
	return s.cmd.ProcessState.ExitCode()
}

// What a guest says is kept, shown and followed, and it is typed to, over
// kills of daemon and monitor, stops and starts, to the removal of the VM.
func TestConsole(t *testing.T) {
	notOnFake(t, noSystemd)
	e := private(t)
	e.vm(t, "said", "--network", "none")
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	follow := &screen{t: t, cmd: e.command(ctx, "logs", "-f", "said")}
	follow.cmd.Stdout = follow
	if err := follow.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	seat := e.onScreen(t, "console", "said")
	seat.shows("Ctrl-] leaves.")
	// The image has no login on its console; it has one for who wants it.
	e.ok(t, "exec", "-u", "root", "said", "--", "sh", "-c", "echo dev:secret | chpasswd; until systemctl unmask serial-getty@.service && systemctl start serial-getty@ttyS0; do sleep 1; done")
	seat.shows("said login:")
	follow.shows("said login:")
	seat.keys("dev\r")
	seat.shows("Password:")
	seat.keys("secret\r")
	seat.shows("dev@said")
	shell := e.onScreen(t, "shell", "said")
	shell.shows("dev@said")
	shell.keys("IN=here\r")
	v := e.inspect(t, "said")
	for _, who := range []string{"daemon", "monitor", "both"} {
		victims[who](t, e, v)
		// What is typed to a shell is kept until it can be passed on.
		shell.keys("echo \"still-$IN-" + who + "\"\r")
		shell.shows("still-here-" + who)
		v = e.inspect(t, "said") // of the next monitor
		await(t, who+" to be back, and the keys heard", func() bool {
			seat.keys("echo after-the-$((1+1))-" + who + "\r")
			time.Sleep(time.Second)
			return strings.Contains(seat.text(), "after-the-2-"+who)
		})
		follow.shows("after-the-2-" + who)
	}
	// Hostile bytes reach a console's terminal, and are escaped elsewhere.
	e.ok(t, "exec", "-u", "root", "said", "--", "sh", "-c", `printf 'evil \033]0;title\007 \342\202\254 end\n' >/dev/ttyS0`)
	seat.shows("evil \x1b]0;title\x07 € end")
	follow.shows(`evil \x1b]0;title\x07 € end`)
	began := time.Now()
	time.Sleep(1100 * time.Millisecond)
	e.ok(t, "exec", "-u", "root", "said", "--", "sh", "-c", "echo news >/dev/ttyS0")
	await(t, "the news", func() bool {
		out := e.ok(t, "logs", "--json", "--since", began.Add(1100*time.Millisecond).Format(time.RFC3339Nano), "said")
		var last struct {
			Time time.Time
			Line string
		}
		for line := range strings.Lines(out) {
			if err := json.Unmarshal([]byte(line), &last); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if strings.Contains(last.Line, "evil") {
				t.Fatalf("--since shows what was said before: %s", out)
			}
			if strings.Contains(last.Line, "news") {
				return last.Time.After(began) && time.Since(last.Time) < time.Minute
			}
		}
		return false
	})
	shell.keys("exit 4\r")
	if code := shell.code(); code != 4 {
		t.Errorf("the shell: exit code %d", code)
	}
	seat.keys("\x1d")
	if code := seat.code(); code != 0 {
		t.Errorf("leaving the console: exit code %d", code)
	}
	seat.shows("left the console of said")
	// Over its end and its next boot.
	last := e.onScreen(t, "console", "said")
	last.shows("Ctrl-] leaves.")
	e.ok(t, "stop", "said")
	if code := last.code(); code != 0 {
		t.Errorf("a console of a VM that stops: exit code %d", code)
	}
	last.shows("the VM said has ended")
	if out := e.ok(t, "logs", "-n", "5", "said"); strings.Count(out, "\n") != 5 || strings.Contains(out, "login:") {
		t.Errorf("the last lines of a VM that is stopped: %q", out)
	}
	e.refused(t, 2, []string{"needs a terminal"}, "console", "said")
	e.ok(t, "start", "said")
	e.ok(t, "exec", "-u", "root", "said", "--", "sh", "-c", "echo the next boot >/dev/ttyS0")
	follow.shows("the next boot")
	e.ok(t, "rm", "-f", "said")
	if code := follow.code(); code != 0 {
		t.Errorf("the follower of a VM that is removed: exit code %d", code)
	}
	if left := e.residue(t); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// A shell on a real terminal, and what a login session gives to it and to all
// other commands.
func TestShell(t *testing.T) {
	notOnFake(t, "one run of many waited for ever, and it is not known why")
	e := common(t)
	e.vm(t, "shelly", "--network", "none")
	// Before systemd is up: a shell waits for nothing.
	s := e.onScreen(t, "shell", "-w", "/tmp", "-e", "GREETING=hi there", "shelly")
	s.shows("dev@shelly")
	s.keys("stty size; echo \"$GREETING|$PWD\"\r")
	s.shows("30 100")
	s.shows("hi there|/tmp")
	if err := s.size(41, 123); err != nil {
		t.Fatal(err)
	}
	s.keys("stty size\r")
	s.shows("41 123")
	s.keys("sleep 1000\r")
	await(t, "sleep to run", func() bool { return e.banger(t, "exec", "shelly", "--", "pgrep", "-x", "sleep").code == 0 })
	s.keys("\x03")
	s.shows("dev@shelly")
	s.keys("echo code=$?\r")
	s.shows("code=130")
	s.keys("sleep 1000\r")
	await(t, "sleep to run again", func() bool { return e.banger(t, "exec", "shelly", "--", "pgrep", "-x", "sleep").code == 0 })
	s.keys("\x1a")
	s.shows("Stopped")
	s.keys("fg\r")
	s.shows("\r\n")
	s.shows("sleep 1000")
	s.keys("\x03")
	s.shows("dev@shelly")
	// The terminal itself erases a character whole: cat reads what is left.
	s.keys("printf 'type''now\\n'; cat\r")
	s.shows("typenow")
	s.keys("a€\x7fz\r")
	s.shows("\r\naz\r\n")
	s.keys("\x04")
	s.shows("dev@shelly")
	s.keys("(exit 7)\r")
	s.shows("dev@shelly")
	s.keys("\x04")
	if code := s.code(); code != 7 {
		t.Errorf("Ctrl-D: exit code %d", code)
	}
	if r := e.bangerIn(t, "id -un; exit 3\n", "shell", "-u", "root", "shelly"); r.code != 3 || r.stdout != "root\n" {
		t.Errorf("a script: %s", r)
	}
	e.refused(t, 125, []string{"no user"}, "shell", "-u", "nobody-at-all", "shelly")
	t.Run("session", func(t *testing.T) { e.testLoginSession(t, "shelly") })
}

func (e *env) testLoginSession(t *testing.T, vm string) {
	in := func(script string) string { return strings.TrimSpace(e.ok(t, "exec", vm, "--", "sh", "-c", script)) }
	id := ""
	await(t, "the session", func() bool {
		id = in("echo $XDG_SESSION_ID")
		return id != ""
	})
	if out := in("echo $XDG_RUNTIME_DIR; loginctl show-session $XDG_SESSION_ID -p Name -p Active -p Leader; cat /proc/self/cgroup; grep TracerPid /proc/self/status"); !strings.HasPrefix(out, "/run/user/1000\n") ||
		!strings.Contains(out, "Name=dev") || !strings.Contains(out, "/session-"+id+".scope/exec-") || !strings.Contains(out, "TracerPid:\t0") {
		t.Errorf("a command has %q", out)
	}
	if other := in("echo $XDG_SESSION_ID"); other != id {
		t.Errorf("commands are in the sessions %q and %q", id, other)
	}
	if out := in("loginctl list-sessions --no-legend | wc -l"); out != "1" {
		t.Errorf("there are %s sessions", out)
	}
	// A service that one command starts is there for the next.
	in(`mkdir -p ~/.config/systemd/user && printf '[Service]\nExecStart=sleep 1000\n' >~/.config/systemd/user/mine.service && systemctl --user daemon-reload && systemctl --user start mine`)
	if out := in("systemctl --user is-active mine"); out != "active" {
		t.Errorf("the service is %q", out)
	}
	// What a command starts itself ends with it, but for what was detached.
	pid := in("setsid sleep 999 >/dev/null 2>&1 & sleep 0.2; echo $!")
	await(t, "what the command left to be gone", func() bool { return e.banger(t, "exec", vm, "--", "test", "-e", "/proc/"+pid).code == 1 })
	e.ok(t, "exec", "-d", vm, "--", "sleep", "998")
	await(t, "what was detached", func() bool { return e.banger(t, "exec", vm, "--", "pgrep", "-fx", "sleep 998").code == 0 })
	if out := in("systemctl --user is-active mine"); out != "active" {
		t.Errorf("then the service is %q", out)
	}
	// Limits are PAM's, from the session that is opened next; the session comes back.
	if out := in("ulimit -n; ulimit -Hn"); out != "1024\n1048576" {
		t.Errorf("limits: %q", out)
	}
	e.ok(t, "exec", "-u", "root", vm, "--", "sh", "-c", "echo 'dev - nofile 2345' >/etc/security/limits.d/x.conf; systemctl restart banger-session@1000")
	if out := in("ulimit -n; ulimit -Hn"); out != "2345\n2345" {
		t.Errorf("limits of limits.d: %q", out)
	}
	if now := in("echo $XDG_SESSION_ID"); now == id || now == "" {
		t.Errorf("the session was %q, is %q", id, now)
	}
	if r := e.banger(t, "exec", vm, "--", "systemctl", "--failed", "--plain", "--no-legend"); strings.TrimSpace(r.stdout) != "" {
		t.Errorf("failed units: %s", r)
	}
	if v := e.inspect(t, vm); v.State != api.StateRunning {
		t.Errorf("%s %s", v.State, v.Reason)
	}
	began := time.Now()
	e.ok(t, "stop", vm)
	if took := time.Since(began); took > 45*time.Second {
		t.Errorf("with a detached command in the session the VM took %v to stop", took)
	}
}
