package guest_test

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/guestd/execs"
)

func TestExecThroughTheWholeStack(t *testing.T) {
	r := newRig(t, execs.Config{})
	for _, tc := range []struct {
		name            string
		argv            []string
		in              string
		out, err        string
		code            int
		env             []string
		cwd             string
		messageContains string
	}{
		{name: "output", argv: []string{"echo", "hello"}, out: "hello\n"},
		{name: "both outputs", argv: []string{"sh", "-c", "echo a; echo b >&2; exit 3"}, out: "a\n", err: "b\n", code: 3},
		{name: "binary stdin", argv: []string{"cat"}, in: "\x00\xff\n\x00", out: "\x00\xff\n\x00"},
		{name: "env and cwd", argv: []string{"sh", "-c", "echo $X $PWD"}, env: []string{"X=1"}, cwd: "/usr", out: "1 /usr\n"},
		{name: "not found", argv: []string{"no-such-command"}, code: 127, messageContains: "no command"},
		{name: "not executable", argv: []string{"/etc/passwd"}, code: 126, messageContains: "permission"},
		{name: "no cwd", argv: []string{"true"}, cwd: "/nowhere", code: 126, messageContains: "working directory"},
		{name: "signal", argv: []string{"sh", "-c", "kill -9 $$"}, code: 137},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			cfg := client.ExecConfig{Stdout: &out, Stderr: &errOut}
			if tc.in != "" {
				cfg.Stdin = strings.NewReader(tc.in)
			}
			exit := wait(t, r.start(api.ExecSpec{Argv: tc.argv, Env: tc.env, Cwd: tc.cwd, User: "root"}, cfg))
			if exit.Code != tc.code || !strings.Contains(exit.Error, tc.messageContains) {
				t.Errorf("the exit is %+v", exit)
			}
			if out.String() != tc.out || errOut.String() != tc.err {
				t.Errorf("the output is %q and %q", out.String(), errOut.String())
			}
		})
	}
	eventually(t, "the guest forgets acknowledged commands", func() bool { return r.execs.Running() == 0 })
}

func TestNothingIsLeftInTheHost(t *testing.T) {
	r := newRig(t, execs.Config{})
	run := func() {
		wait(t, r.start(api.ExecSpec{Argv: []string{"echo"}, User: "root"}, client.ExecConfig{Stdin: strings.NewReader("x")}))
	}
	run()
	eventually(t, "the first is forgotten", func() bool { return r.execs.Running() == 0 })
	time.Sleep(50 * time.Millisecond)
	before := runtime.NumGoroutine()
	for range 30 {
		run()
	}
	eventually(t, "the goroutines end", func() bool { return runtime.NumGoroutine() <= before+2 })
}
