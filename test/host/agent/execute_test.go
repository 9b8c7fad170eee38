package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/test/host/call"
)

// outcome runs a command as the agent does.
func outcome(t *testing.T, spec call.Run, stdin string) (exit call.Exit, stdout, stderr string) {
	t.Helper()
	if spec.Timeout == 0 {
		spec.Timeout = time.Minute
	}
	spec.Dir = t.TempDir()
	var sent bytes.Buffer
	w := call.NewWriter(&sent, func() error { return nil })
	if err := w.Exit(execute(t.Context(), spec, strings.NewReader(stdin), w)); err != nil {
		t.Fatal(err)
	}
	var out, errs strings.Builder
	exit, err := call.Read(&sent, &out, &errs)
	if err != nil {
		t.Fatal(err)
	}
	return exit, out.String(), errs.String()
}

func TestExecute(t *testing.T) {
	for name, c := range map[string]struct {
		argv        []string
		env         []string
		stdin       string
		exit        call.Exit
		out, stderr string
	}{
		"streams":      {argv: []string{"sh", "-c", "echo a; echo b >&2; exit 3"}, exit: call.Exit{Code: 3}, out: "a\n", stderr: "b\n"},
		"input":        {argv: []string{"cat"}, stdin: "text", out: "text"},
		"unread input": {argv: []string{"true"}, stdin: strings.Repeat("x", 1<<20)},
		"environment":  {argv: []string{"sh", "-c", "echo $A $HOME"}, env: []string{"A=b c"}, out: "b c /root\n"},
		"signal":       {argv: []string{"sh", "-c", "kill -USR1 $$"}, exit: call.Exit{Code: 138, Error: "user defined signal 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			exit, out, stderr := outcome(t, call.Run{Argv: c.argv, Env: c.env}, c.stdin)
			if exit != c.exit || out != c.out || stderr != c.stderr {
				t.Errorf("%+v %q %q", exit, out, stderr)
			}
		})
	}
	if exit, _, _ := outcome(t, call.Run{Argv: []string{"/no/such/program"}}, ""); exit.Code != 127 || !strings.Contains(exit.Error, "no such file") {
		t.Errorf("a program that is not there: %+v", exit)
	}
}

// All that a command started in its process group ends at its deadline.
func TestExecuteTimesOut(t *testing.T) {
	began := time.Now()
	exit, out, _ := outcome(t, call.Run{Argv: []string{"sh", "-c", "sleep 100 & echo begun; sleep 100"}, Timeout: 300 * time.Millisecond}, "")
	if exit.Code != timedOut || !strings.Contains(exit.Error, "300ms") || out != "begun\n" {
		t.Errorf("%+v %q", exit, out)
	}
	if took := time.Since(began); took > grace {
		t.Errorf("it took %v: a child held the output", took)
	}
}

// A daemon that keeps the output open does not keep the command from ending.
func TestExecuteLeavesADaemon(t *testing.T) {
	began := time.Now()
	exit, out, _ := outcome(t, call.Run{Argv: []string{"sh", "-c", "setsid sleep 8 & echo done"}}, "")
	if exit != (call.Exit{}) || out != "done\n" {
		t.Errorf("%+v %q", exit, out)
	}
	if took := time.Since(began); took > grace+2*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestExecuteOnATerminal(t *testing.T) {
	exit, out, _ := outcome(t, call.Run{
		Argv: []string{"sh", "-c", "test -t 0 && test -t 1 && stty size; exit 5"}, TTY: &call.Window{Rows: 11, Cols: 22},
	}, "")
	if exit.Code != 5 || !strings.Contains(out, "11 22") {
		t.Errorf("%+v %q", exit, out)
	}
}

func TestCommandLine(t *testing.T) {
	for want, spec := range map[string]call.Run{
		"/bin/bash -l":      {},
		"a b":               {Argv: []string{"a", "b"}, Env: []string{"A=1"}, Dir: "/d"},
		"runuser -l -- ann": {User: "ann"},
		`runuser -l --session-command=exec "$0" "$@" -- ann env -C /d A=1 a b`: {User: "ann", Argv: []string{"a", "b"}, Env: []string{"A=1"}, Dir: "/d"},
	} {
		if got := strings.Join(commandLine(spec), " "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestReadRun(t *testing.T) {
	line, err := json.Marshal(call.Run{Argv: []string{"cat"}, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	rest, spec, err := readRun(strings.NewReader(string(line) + "\nthe input"))
	if err != nil || len(spec.Argv) != 1 || spec.Timeout != time.Second {
		t.Fatalf("%+v, %v", spec, err)
	}
	if got, err := io.ReadAll(rest); err != nil || string(got) != "the input" {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"", "x\n", "{}\n", `{"argv":["` + strings.Repeat("x", call.MaxLine) + `"]}` + "\n"} {
		if _, _, err := readRun(strings.NewReader(bad)); err == nil {
			t.Errorf("%.20q is a request", bad)
		}
	}
}

func TestExecuteEndsWithItsCaller(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(200*time.Millisecond, cancel)
	w := call.NewWriter(io.Discard, func() error { return nil })
	began := time.Now()
	exit := execute(ctx, call.Run{Argv: []string{"sleep", "100"}, Timeout: time.Minute, Dir: t.TempDir()}, strings.NewReader(""), w)
	if exit.Code != 143 || time.Since(began) > 10*time.Second {
		t.Errorf("%+v after %v", exit, time.Since(began))
	}
}
