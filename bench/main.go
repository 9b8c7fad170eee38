// Command bench measures banger against its VMM driven by hand to do the same
// work, in one run on one machine, so that the ratios carry over to others.
//
//	go run ./bench [-write docs/benchmarks.md] [-vmm NAME] [-quick] [-only NAME[,NAME…]]
//	go run ./test/host bench                         the same in the test host, on Firecracker
//
// It exits with 1 when a limit is missed, 2 for wrong flags, and 3 when the
// measurements came to no end.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/banger-vm/banger/internal/places"
	"github.com/banger-vm/banger/test/seedstate"
)

func main() {
	o := flags()
	if o.pipe != "" {
		if err := barePipe(o.pipe); err != nil {
			fmt.Fprintln(os.Stderr, "bench: pipe:", err)
			os.Exit(exitFailed)
		}
		return
	}
	chosen, err := choose(o.only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(exitUsage)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.bound)
	defer cancel()
	missed, err := run(ctx, o, chosen)
	code := 0
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		code = exitFailed
	}
	if missed > 0 {
		fmt.Fprintf(os.Stderr, "bench: %d limits are missed\n", missed)
		code = max(code, exitMissed)
	}
	cancel()
	stop()
	os.Exit(code)
}

// The exit codes; that of wrong flags is package flag's, too.
const (
	exitMissed = 1
	exitUsage  = 2
	exitFailed = 3
)

func run(ctx context.Context, o options, chosen []group) (missed int, err error) {
	if o.join != "" {
		m, err := join(strings.Split(o.join, ","))
		if err != nil {
			return 0, err
		}
		return m.missed(), m.publish(o.write)
	}
	b, err := newBench(ctx, o)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.prepare(ctx); err != nil {
		return 0, fmt.Errorf("preparing: %w", err)
	}
	for _, g := range chosen {
		fmt.Fprintln(os.Stderr, "bench:", g.name)
		if err = g.measure(ctx, b); err != nil {
			err = fmt.Errorf("measuring %s: %w", g.name, err)
			break
		}
	}
	m := b.measured(ctx)
	if err == nil {
		err = m.save(o.keep)
	}
	if err != nil {
		fmt.Print(m.report()) // as far as it came
		return m.missed(), err
	}
	return m.missed(), m.publish(o.write)
}

// group is what is measured together.
type group struct {
	name    string
	measure func(context.Context, *bench) error
}

func groups() []group {
	return []group{
		{"cold", cold},
		{"exec", warm},
		{"health", health},
		{"throughput", throughput},
		{"copy", copies},
		{"ssh", secureShell},
		{"keys", keystrokes},
		{"network", guestNetwork},
		{"life", life},
		{"five", five},
		{"memory", memory},
		{"cli", commandLine},
	}
}

func groupNames() (names []string) {
	for _, g := range groups() {
		names = append(names, g.name)
	}
	return names
}

func choose(only string) (chosen []group, err error) {
	if only == "" {
		return groups(), nil
	}
	for name := range strings.SplitSeq(only, ",") {
		found := false
		for _, g := range groups() {
			if g.name == name {
				chosen, found = append(chosen, g), true
			}
		}
		if !found {
			return nil, fmt.Errorf("there is no group %q (there are %s)", name, strings.Join(groupNames(), ", "))
		}
	}
	return chosen, nil
}

// bench is one run.
type bench struct {
	opts   options
	kind   kind
	dir    string
	rig    *rig
	vm     string // runs throughout, its init has finished starting
	facts  facts
	limits limits
	floor  *floor
	rows   []row
}

func newBench(ctx context.Context, o options) (*bench, error) {
	bin, err := filepath.Abs(o.bin)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(bin, "bangerd")); err != nil {
		return nil, fmt.Errorf("run this in banger's source directory, after make build: %w", err)
	}
	p, err := places.Resolve(places.Flags{}, places.SystemEnv())
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "banger-bench-")
	if err != nil {
		return nil, err
	}
	r, err := newRig(bin, dir, p.CacheDir)
	if err == nil && o.seed != "" {
		err = sow(ctx, o.seed, dir, r.places.StateDir)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &bench{opts: o, kind: kindOf(o.vmm), dir: dir, rig: r, vm: "bench"}, nil
}

// sow gives the rig's state what is made already.
func sow(ctx context.Context, seed, dir, state string) error {
	copied := filepath.Join(dir, "seed")
	if err := os.Mkdir(copied, 0o700); err != nil {
		return err
	}
	if err := seedstate.Copy(ctx, seed, copied); err != nil {
		return err
	}
	return seedstate.Link(ctx, copied, state)
}

// prepare makes the VM that runs throughout, and the floor of its machine.
func (b *bench) prepare(ctx context.Context) error {
	load := loadAverage()
	if _, err := b.rig.run(ctx, append([]string{"vm", "create", "-n", b.vm}, b.kind.flags()...)...); err != nil {
		return err
	}
	if _, err := b.rig.run(ctx, "start", b.vm); err != nil {
		return err
	}
	vm, err := b.rig.settle(ctx, b.vm)
	if err != nil {
		return err
	}
	b.facts, b.limits = factsOf(vm), limitsOf(vm.Boot.VMM)
	b.facts.load = load
	if b.facts.program, err = b.rig.program(ctx, vm.Boot.VMM); err != nil {
		return err
	}
	b.floor, err = newFloor(ctx, floorConfig{dir: b.dir, init: b.opts.init, vm: vm, vmm: b.facts.program})
	return err
}

// rounds is how often to measure: a few times only in a quick run.
func (b *bench) rounds(n int) int {
	if b.opts.quick {
		return max(2, n/5)
	}
	return n
}

func (b *bench) add(rows ...row) { b.rows = append(b.rows, rows...) }

func (b *bench) close() error { return errors.Join(b.rig.close(), os.RemoveAll(b.dir)) }
