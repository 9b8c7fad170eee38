package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/banger-vm/banger/test/host/call"
	"github.com/banger-vm/banger/test/host/machine"
	"github.com/banger-vm/banger/test/host/payload"
)

// pairs collects LEFT=RIGHT flags.
type pairs [][2]string

func (p *pairs) String() string { return "" }

func (p *pairs) Set(s string) error {
	left, right, ok := strings.Cut(s, "=")
	if !ok || left == "" || right == "" {
		return errors.New("it is not of the form A=B")
	}
	*p = append(*p, [2]string{left, right})
	return nil
}

// options are the flags of exec and shell.
type options struct {
	user    string
	dir     string
	timeout time.Duration
	place   place
	puts    pairs
	gets    pairs
	env     pairs
}

func (o *options) flags(name string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.StringVar(&o.user, "u", "", "run as this user, in a login session (user: the ordinary one)")
	f.StringVar(&o.dir, "w", "", "directory to run in")
	f.DurationVar(&o.timeout, "t", 10*time.Minute, "end it after this time")
	o.place.flags(f)
	f.Var(&o.puts, "put", "`FILE=NAME`: bring a file or tree along as "+call.Payload+"/NAME (read-only there)")
	f.Var(&o.gets, "get", "`PATH=DIR`: afterwards bring a file or tree of the host back into DIR")
	f.Var(&o.env, "e", "`NAME=VALUE` for the command's environment")
	return f
}

// prepare makes the host and saves it.
func prepare(ctx context.Context, args []string) error {
	var o options
	if err := o.flags("prepare").Parse(args); err != nil {
		return err
	}
	r, err := newRig(ctx, o.place)
	if err != nil {
		return err
	}
	return r.withMachine(ctx, nil, func(*machine.Machine) error { return nil })
}

// execute runs one command.
func execute(ctx context.Context, args []string) error {
	var o options
	f := o.flags("exec")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() == 0 {
		return errors.New("exec needs a command: go run ./test/host exec -- CMD…")
	}
	with := machine.IO{Stdout: os.Stdout, Stderr: os.Stderr}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		with.Stdin = os.Stdin
	}
	return o.session(ctx, call.Run{Argv: f.Args()}, with)
}

// shell runs a shell on the caller's terminal.
func shell(ctx context.Context, args []string) error {
	o := options{}
	f := o.flags("shell")
	if err := f.Parse(args); err != nil {
		return err
	}
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		return errors.New("shell needs a terminal; use exec")
	}
	cols, rows, err := term.GetSize(fd)
	if err != nil {
		return err
	}
	run := call.Run{Argv: f.Args(), TTY: &call.Window{Rows: uint16(rows), Cols: uint16(cols)}}
	o.timeout = 12 * time.Hour
	return o.session(ctx, run, machine.IO{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr})
}

// session runs a command in a host of its own.
func (o *options) session(ctx context.Context, run call.Run, with machine.IO) error {
	r, err := newRig(ctx, o.place)
	if err != nil {
		return err
	}
	entries, err := r.belongings(ctx)
	if err != nil {
		return err
	}
	for _, p := range o.puts {
		entries = append(entries, payload.Entry{Name: p[1], Source: p[0]})
	}
	run.User, run.Dir, run.Timeout, run.Env = o.user, o.dir, o.timeout, environment()
	if o.user == "root" {
		run.User = ""
	}
	for _, e := range o.env {
		run.Env = append(run.Env, e[0]+"="+e[1])
	}
	return r.withMachine(ctx, entries, func(m *machine.Machine) error {
		if err := m.SetUp(ctx); err != nil {
			return err
		}
		exit, err := onTerminal(run, func() (call.Exit, error) { return m.Run(ctx, run, with) })
		if err != nil {
			return err
		}
		if exit.Error != "" {
			fmt.Fprintln(os.Stderr, "test host:", exit.Error)
		}
		for _, p := range o.gets {
			if err := m.Fetch(ctx, p[0], p[1]); err != nil {
				return err
			}
		}
		if exit.Code != 0 {
			return exitError(exit.Code)
		}
		return nil
	})
}

// onTerminal passes all keys on while a command has a terminal.
func onTerminal(run call.Run, do func() (call.Exit, error)) (call.Exit, error) {
	if run.TTY == nil {
		return do()
	}
	fd := int(os.Stdin.Fd())
	state, err := term.MakeRaw(fd)
	if err != nil {
		return call.Exit{}, err
	}
	exit, err := do()
	return exit, errors.Join(err, term.Restore(fd, state))
}

// environment is what commands in the host find.
func environment() []string {
	at := func(name string) string { return filepath.Join(call.Payload, name) }
	return []string{
		"PATH=" + at("bin") + ":" + at("firecracker") + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"BANGER_CACHE_DIR=" + machine.CacheDir,
		"BANGER_FIRECRACKER=" + at("firecracker/firecracker"),
		"BANGER_TEST_VM=1", "BANGER_TEST_HOST=1", "BANGER_TEST_BIN=" + at("bin"),
		"BANGER_TEST_KERNEL=" + at("lab/vmlinux"), "BANGER_TEST_INITRAMFS=" + at("lab/initramfs"),
		"BANGER_TEST_SEED=" + at("seed"), "BANGER_TEST_APPS=" + at("apps"),
	}
}
