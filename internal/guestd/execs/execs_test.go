package execs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/guestd/execs"
)

// safe is a buffer that may be read while a command writes it.
type safe struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safe) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safe) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestTerminal(t *testing.T) {
	r := newRig(t, execs.Config{})
	in, keys := io.Pipe()
	out := &safe{}
	x := r.start(api.ExecSpec{
		Argv: []string{"sh", "-c", `tty; stty size; echo $TERM; stty -a; trap 'stty size' WINCH; trap 'echo interrupted; exit 5' INT
			echo ready; while :; do sleep 0.05; done`},
		TTY: true, Rows: 33, Cols: 77, Env: []string{"TERM=vt100"},
	}, client.ExecConfig{Stdin: in, Stdout: out})
	shows := func(text string) func() bool { return func() bool { return strings.Contains(out.String(), text) } }
	eventually(t, "ready", shows("ready"))
	for _, want := range []string{"/dev/pts/", "33 77", "vt100", " iutf8"} {
		if !shows(want)() {
			t.Errorf("no %q in %q", want, out.String())
		}
	}
	if err := x.Resize(44, 88); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new size", shows("44 88"))
	keys.Write([]byte{3}) // ^C
	exit, err := x.Wait()
	if err != nil || exit.Code != 5 || !shows("interrupted")() {
		t.Errorf("the exit is %+v, %v: %q", exit, err, out.String())
	}
}

func TestATerminalsInputEnds(t *testing.T) {
	r := newRig(t, execs.Config{})
	var out safe
	x := r.start(api.ExecSpec{Argv: []string{"cat"}, TTY: true}, client.ExecConfig{Stdin: strings.NewReader("hello\n"), Stdout: &out})
	if exit, err := x.Wait(); err != nil || exit.Code != 0 || out.String() != "hello\r\nhello\r\n" {
		t.Errorf("the exit is %+v, %v: %q", exit, err, out.String())
	}
}

func TestSignalsReachTheWholeCommand(t *testing.T) {
	r := newRig(t, execs.Config{})
	for _, tty := range []bool{false, true} {
		out := &safe{}
		x := r.start(api.ExecSpec{Argv: []string{"sh", "-c", "trap 'echo term; exit 9' TERM; sleep 1000 & echo ready; wait"}, TTY: tty},
			client.ExecConfig{Stdout: out})
		eventually(t, "ready", func() bool { return strings.Contains(out.String(), "ready") })
		if err := x.Signal(15); err != nil {
			t.Fatal(err)
		}
		if exit, err := x.Wait(); err != nil || exit.Code != 9 {
			t.Errorf("tty %v: the exit is %+v, %v: %q", tty, exit, err, out.String())
		}
	}
}

// cgroupRoot is where cgroup v2 is on this machine, "" where it is not.
func cgroupRoot() string {
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if _, err := os.Stat(filepath.Join(dir, "cgroup.controllers")); err == nil && os.Geteuid() == 0 {
			return dir
		}
	}
	return ""
}

func alive(pid string) bool {
	n, err := strconv.Atoi(strings.TrimSpace(pid))
	if err != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n))
	return err == nil && !bytes.Contains(stat, []byte(") Z "))
}

func TestNothingIsLeftOfACommand(t *testing.T) {
	for name, cfg := range map[string]execs.Config{
		"group":  {CgroupRoot: "/nonexistent"},
		"cgroup": {CgroupRoot: cgroupRoot()},
	} {
		t.Run(name, func(t *testing.T) {
			if cfg.CgroupRoot == "" {
				t.Skip("cgroup v2 is not mounted here, or this is not root")
			}
			cfg.Grace = 100 * time.Millisecond
			groups := filepath.Join(cfg.CgroupRoot, "banger", "exec-*")
			t.Cleanup(func() {
				if left, _ := filepath.Glob(groups); len(left) > 0 {
					t.Errorf("cgroups left: %v", left)
				}
			})
			r := newRig(t, cfg)
			script := "sleep 1000 & echo $!"
			if name == "cgroup" { // even what has left the group
				script = "setsid sleep 1000 & sleep 0.1; echo $!"
			}
			pid, exit := r.run(api.ExecSpec{}, script)
			if exit.Code != 0 {
				t.Errorf("the exit is %+v", exit)
			}
			eventually(t, "what it started is gone", func() bool { return !alive(pid) })
			kept, _ := filepath.Glob(groups) // for the next command
			for _, dir := range kept {
				procs, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
				if err != nil || len(procs) > 0 {
					t.Errorf("%s holds %q (%v)", dir, procs, err)
				}
			}
			if _, exit := r.run(api.ExecSpec{}, "true"); exit.Code != 0 {
				t.Errorf("the next command's exit is %+v", exit)
			}
		})
	}
	if root := cgroupRoot(); root != "" {
		os.Remove(filepath.Join(root, "banger"))
	}
}

// What escapes the group and holds the output does not hold the exit.
func TestAnEscapedProcessDoesNotHoldTheExit(t *testing.T) {
	r := newRig(t, execs.Config{CgroupRoot: "/nonexistent", Grace: 50 * time.Millisecond})
	pid, exit := r.run(api.ExecSpec{}, "setsid sleep 3 & sleep 0.2; echo $!; exit 6")
	if exit.Code != 6 {
		t.Errorf("the exit is %+v", exit)
	}
	if !alive(pid) {
		t.Error("the exit waited for it")
	}
	// All that the command itself wrote comes, however slow its reader.
	slow := &slowWriter{}
	x := r.start(api.ExecSpec{Argv: []string{"sh", "-c", "setsid sleep 3 & head -c 400000 /dev/zero"}}, client.ExecConfig{Stdout: slow})
	if exit, err := x.Wait(); err != nil || exit.Code != 0 || slow.n != 400000 {
		t.Errorf("%d bytes came, %+v, %v", slow.n, exit, err)
	}
}

type slowWriter struct{ n int }

func (s *slowWriter) Write(p []byte) (int, error) {
	time.Sleep(40 * time.Millisecond)
	s.n += len(p)
	return len(p), nil
}

func TestUsersAndEnvironment(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can run commands as others")
	}
	etc := t.TempDir()
	home := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(etc, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for dir := home; dir != "/"; dir = filepath.Dir(dir) {
		os.Chmod(dir, 0o755)
	}
	write("passwd", "root:x:0:0::/root:/bin/sh\ndev:x:4242:4243::"+home+":/bin/sh\nbroken:x\n")
	write("group", "dev:x:4243:\nwheel:x:4244:other,dev\nnope:x:4245:developer\n")
	write("environment", "# all\nEDITOR=\"vi\"\n")
	r := newRig(t, execs.Config{Etc: etc, User: func() string { return "dev" }})
	const show = `echo $(id -u) $(id -g) $(id -G) $HOME $USER $LOGNAME $SHELL $EDITOR $(pwd) $MORE; echo ok >/dev/stdout`
	for _, tc := range []struct{ user, want string }{
		{"dev", "4242 4243 4243 4244 HOME dev dev /bin/sh vi HOME 1\nok\n"},
		{"4242", "4242 4243 4243 4244 HOME dev dev /bin/sh vi HOME 1\nok\n"},
		{"root", "0 0 0 /root root root /bin/sh vi /root 1\nok\n"},
		{"31337", "31337 31337 31337 / 31337 31337 /bin/sh vi / 1\nok\n"},
	} {
		out, exit := r.run(api.ExecSpec{User: tc.user, Env: []string{"MORE=1"}}, show)
		if want := strings.ReplaceAll(tc.want, "HOME", home); out != want || exit.Code != 0 {
			t.Errorf("as %s: %q, want %q (%+v)", tc.user, out, want, exit)
		}
	}
	// A user made just now is found.
	write("passwd", "new:x:5000:5000:::\n")
	if out, _ := r.run(api.ExecSpec{User: "new"}, "id -u"); out != "5000\n" {
		t.Errorf("the new user is %q", out)
	}
}

func TestALoginShell(t *testing.T) {
	r := newRig(t, execs.Config{Etc: t.TempDir()})
	var out bytes.Buffer
	x := r.start(api.ExecSpec{User: "root"}, client.ExecConfig{Stdin: strings.NewReader("echo $0\nexit 8\n"), Stdout: &out})
	if exit, err := x.Wait(); err != nil || exit.Code != 8 || out.String() != "-sh\n" {
		t.Errorf("the exit is %+v, %v: %q", exit, err, out.String())
	}
}

func TestARepeatedStartRunsOnce(t *testing.T) {
	r := newRig(t, execs.Config{})
	file := filepath.Join(t.TempDir(), "runs")
	id := client.NewExecID()
	// It lasts until all have asked for it: what has ended and was confirmed is forgotten.
	spec := api.ExecSpec{Argv: []string{"sh", "-c", "echo run >>" + file + "; until [ -e " + file + ".end ]; do sleep 0.05; done; echo done"}, User: "root"}
	var out safe
	var wg, asked sync.WaitGroup
	for range 8 { // each supersedes the one before it, which comes back
		asked.Add(1)
		wg.Go(func() {
			x, err := client.StartExec(t.Context(), r.dial, id, spec, client.ExecConfig{Stdout: &out, Reconnect: 5 * time.Second})
			asked.Done()
			if err == nil {
				_, err = x.Wait()
			}
			var gone *api.Error
			if err != nil && !errors.As(err, &gone) { // another has confirmed the exit
				t.Error(err)
			}
		})
	}
	asked.Wait()
	if err := os.WriteFile(file+".end", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	runs, err := os.ReadFile(file)
	if err != nil || string(runs) != "run\n" {
		t.Errorf("it ran: %q, %v", runs, err)
	}
	if out.String() == "" {
		t.Error("nobody got the output")
	}
}

func TestAnOrphanIsHungUp(t *testing.T) {
	r := newRig(t, execs.Config{OrphanAfter: 100 * time.Millisecond})
	out := &safe{}
	x := r.start(api.ExecSpec{Argv: []string{"sh", "-c", "echo $$; exec sleep 1000"}}, client.ExecConfig{Stdout: out})
	eventually(t, "it runs", func() bool { return strings.Contains(out.String(), "\n") })
	time.Sleep(200 * time.Millisecond) // a client holds it
	if !alive(out.String()) {
		t.Fatal("it was hung up under its client")
	}
	x.Close()
	eventually(t, "it is hung up", func() bool { return !alive(out.String()) })
	eventually(t, "it is forgotten", func() bool {
		_, err := client.AttachExec(t.Context(), r.dial, x.ID(), client.ExecConfig{})
		return err != nil
	})
}

func TestDetached(t *testing.T) {
	r := newRig(t, execs.Config{OrphanAfter: 50 * time.Millisecond, LogSize: 1 << 20, LogDir: t.TempDir()})
	x := r.start(api.ExecSpec{Argv: []string{"sh", "-c", "head -c 3000000 /dev/zero; echo end; echo err >&2; sleep 0.5; echo last; exit 3"}, Detached: true},
		client.ExecConfig{})
	x.Close()
	time.Sleep(200 * time.Millisecond) // much longer than an orphan has
	for range 2 {                      // while it runs, and again
		var out, errOut bytes.Buffer
		again, err := client.AttachExec(t.Context(), r.dial, x.ID(), client.ExecConfig{Stdout: &out, Stderr: &errOut})
		if err != nil {
			t.Fatal(err)
		}
		exit, err := again.Wait()
		if err != nil || exit.Code != 3 {
			t.Errorf("the exit is %+v, %v", exit, err)
		}
		const all = 3000000 + len("end\nlast\n")
		if !strings.HasSuffix(out.String(), "\x00end\nlast\n") || errOut.String() != "err\n" {
			t.Errorf("the output has %d bytes, stderr %q", out.Len(), errOut.String())
		}
		if n := int(again.Lost()) + out.Len(); n != all || again.Lost() == 0 {
			t.Errorf("%d bytes came and %d were lost, of %d", out.Len(), again.Lost(), all)
		}
	}
}

func TestFinishedDetachedCommandsAreBounded(t *testing.T) {
	r := newRig(t, execs.Config{KeepDetached: 2, LogDir: t.TempDir()})
	var ids []string
	for i := range 4 {
		x := r.start(api.ExecSpec{Argv: []string{"sh", "-c", fmt.Sprint("exit ", i)}, Detached: true}, client.ExecConfig{})
		if _, err := x.Wait(); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, x.ID())
	}
	eventually(t, "the oldest are forgotten", func() bool {
		found := ""
		for i, id := range ids {
			x, err := client.AttachExec(t.Context(), r.dial, id, client.ExecConfig{})
			if err != nil {
				continue
			}
			if exit, err := x.Wait(); err != nil || exit.Code != i {
				t.Fatalf("the exit is %+v, %v", exit, err)
			}
			found += strconv.Itoa(i)
		}
		return found == "23"
	})
}

func TestTooManyCommands(t *testing.T) {
	r := newRig(t, execs.Config{MaxExecs: 3})
	sleep := api.ExecSpec{Argv: []string{"sleep", "1000"}}
	first := r.start(sleep, client.ExecConfig{})
	r.start(sleep, client.ExecConfig{})
	r.start(sleep, client.ExecConfig{})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := client.StartExec(ctx, r.dial, client.NewExecID(), sleep, client.ExecConfig{Reconnect: time.Millisecond}); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Errorf("the fourth: %v", err)
	}
	if err := first.Signal(9); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Wait(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "there is room again", func() bool {
		_, err := client.StartExec(ctx, r.dial, client.NewExecID(), sleep, client.ExecConfig{Reconnect: time.Millisecond})
		return err == nil
	})
}
