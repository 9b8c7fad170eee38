package hostexec_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
)

func sh(script string) hostexec.Cmd {
	return hostexec.Cmd{Name: "sh", Args: []string{"-c", script}}
}

func TestRunCaptures(t *testing.T) {
	c := sh(`cat; echo "$X" >&2; pwd`)
	c.Stdin, c.Env, c.Dir = strings.NewReader("in\n"), []string{"X=why", "PATH=" + os.Getenv("PATH")}, "/"
	res, err := hostexec.Host{}.Run(t.Context(), c)
	if err != nil || string(res.Stdout) != "in\n/\n" || string(res.Stderr) != "why\n" || res.ExitCode != 0 {
		t.Fatalf("Run = %+v, %v", res, err)
	}
}

func TestRunErrorSaysWhatFailed(t *testing.T) {
	res, err := hostexec.Host{}.Run(t.Context(), sh(`echo out; printf 'one\ntwo \033[1mthree\n\n' >&2; exit 7`))
	var exit *hostexec.ExitError
	if !errors.As(err, &exit) || exit.Code != 7 || res.ExitCode != 7 {
		t.Fatalf("Run = %+v, %v; want exit code 7", res, err)
	}
	if want := "sh failed with exit code 7: two [1mthree"; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
	if string(res.Stdout) != "out\n" {
		t.Errorf("output of a failed command is lost: %q", res.Stdout)
	}
	_, err = hostexec.Host{}.Run(t.Context(), sh(`kill -9 $$`))
	if !errors.As(err, &exit) || exit.Signal != syscall.SIGKILL || exit.Code != -1 {
		t.Errorf("Run = %v, want the signal", err)
	}
}

func TestRunMissingProgram(t *testing.T) {
	_, err := hostexec.Host{}.Run(t.Context(), hostexec.Cmd{Name: "banger-no-such-program"})
	if !errors.Is(err, hostexec.ErrNotInstalled) || err.Error() != "banger-no-such-program is not installed" {
		t.Errorf("Run = %v", err)
	}
	c := sh("true")
	c.Dir = "/no/such/dir"
	if _, err = (hostexec.Host{}).Run(t.Context(), c); err == nil || errors.Is(err, hostexec.ErrNotInstalled) {
		t.Errorf("a missing directory: %v", err)
	}
}

func TestLookPathFindsSbinOfAnOrdinaryUser(t *testing.T) {
	t.Setenv("PATH", "/nowhere")
	if path, err := hostexec.LookPath("mke2fs"); err != nil || !strings.HasSuffix(path, "sbin/mke2fs") {
		t.Errorf("LookPath = %q, %v", path, err)
	}
}

func TestRunBoundsOutput(t *testing.T) {
	c := sh(`head -c 100000 /dev/zero; head -c 200000 /dev/zero >&2; echo end >&2`)
	c.MaxOutput = 1000
	var all bytes.Buffer
	c.Stderr = &all
	res, err := hostexec.Host{}.Run(t.Context(), c)
	if err != nil || len(res.Stdout) != 1000 || !res.Truncated {
		t.Fatalf("stdout %d bytes, truncated %v, %v", len(res.Stdout), res.Truncated, err)
	}
	if len(res.Stderr) != 64<<10 || !bytes.HasSuffix(res.Stderr, []byte("end\n")) || all.Len() != 200004 {
		t.Errorf("stderr: kept %d, passed on %d", len(res.Stderr), all.Len())
	}
}

// alive reports whether the process whose pid is in file runs (a zombie does not).
func alive(t *testing.T, file string) bool {
	t.Helper()
	pid, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestCancelKillsTheWholeGroup(t *testing.T) {
	for _, grace := range []time.Duration{0, 50 * time.Millisecond} {
		t.Run(fmt.Sprint(grace), func(t *testing.T) {
			pid := filepath.Join(t.TempDir(), "pid")
			ctx, cancel := context.WithCancelCause(t.Context())
			why := errors.New("the user pressed Ctrl-C")
			time.AfterFunc(0, func() {
				for _, err := os.Stat(pid + ".done"); err != nil; _, err = os.Stat(pid + ".done") {
					time.Sleep(time.Millisecond)
				}
				cancel(why)
			})
			c := sh(`trap '' TERM; (trap '' TERM; sleep 100) & echo $! >` + pid + `; touch ` + pid + `.done; wait; wait`)
			c.Grace = grace
			if _, err := (hostexec.Host{}).Run(ctx, c); !errors.Is(err, why) {
				t.Errorf("Run = %v, want the cause", err)
			}
			eventually(t, "the grandchild is gone", func() bool { return !alive(t, pid) })
		})
	}
}

func TestGraceLetsACommandCleanUp(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	ctx, cancel := context.WithCancel(t.Context())
	c := sh(`trap 'echo clean >` + file + `; exit 1' TERM; echo ready; while :; do sleep 0.01; done`)
	c.Grace = 10 * time.Second
	c.Stdout = writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil })
	if _, err := (hostexec.Host{}).Run(ctx, c); !errors.Is(err, context.Canceled) {
		t.Errorf("Run = %v", err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "clean\n" {
		t.Errorf("the command was not given its grace: %q, %v", b, err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestDaemonizedGrandchildDoesNotHangRun(t *testing.T) {
	if testing.Short() {
		t.Skip("takes the two seconds of the drain")
	}
	pid := filepath.Join(t.TempDir(), "pid")
	_, err := hostexec.Host{}.Run(t.Context(), sh(`sleep 100 & echo $! >`+pid))
	if err == nil || !strings.Contains(err.Error(), "kept its output open") {
		t.Errorf("Run = %v", err)
	}
	eventually(t, "the grandchild is gone", func() bool { return !alive(t, pid) })
}

func TestRecorder(t *testing.T) {
	var out bytes.Buffer
	r := &hostexec.Recorder{Reply: func(_ context.Context, c hostexec.Cmd) (hostexec.Result, error) {
		return hostexec.Result{Stdout: []byte(strconv.Itoa(len(c.Args)))}, nil
	}}
	if _, err := r.Run(t.Context(), hostexec.Cmd{Name: "a", Args: []string{"b c", "it's", ""}, Stdout: &out}); err != nil {
		t.Fatal(err)
	}
	if want := `a 'b c' 'it'\''s' ''` + "\n"; r.String() != want || out.String() != "3" {
		t.Errorf("recorded %q, out %q", r.String(), out.String())
	}
}
