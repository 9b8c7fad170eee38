// Command bench measures banger against a bare QEMU that does the same work,
// in one run on one machine, so that the ratios carry over to others.
//
//	go run ./bench [-write docs/benchmarks.md] [-quick] [-only NAME[,NAME…]]
//
// It exits with 1 when a limit is missed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/banger-vm/banger/internal/places"
)

// bound ends a run that hangs.
const bound = 20 * time.Minute

func main() {
	write := flag.String("write", "", "write the report to this file")
	quick := flag.Bool("quick", false, "fewer rounds, for a first look")
	only := flag.String("only", "", "measure only these groups, by comma: "+strings.Join(groupNames(), ", "))
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	missed, err := run(ctx, *write, *quick, *only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	if missed > 0 {
		fmt.Fprintf(os.Stderr, "bench: %d limits are missed\n", missed)
	}
	if err != nil || missed > 0 {
		cancel()
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, write string, quick bool, only string) (missed int, err error) {
	chosen, err := choose(only)
	if err != nil {
		return 0, err
	}
	b, err := newBench(quick)
	if err != nil {
		return 0, err
	}
	b.command = commandOf(quick, only)
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.prepare(ctx); err != nil {
		return 0, fmt.Errorf("preparing: %w", err)
	}
	for _, g := range chosen {
		fmt.Fprintln(os.Stderr, "bench:", g.name)
		if err := g.measure(ctx, b); err != nil {
			return 0, fmt.Errorf("measuring %s: %w", g.name, err)
		}
	}
	for _, r := range b.rows {
		if r.missed() {
			missed++
		}
	}
	report := b.report(ctx)
	fmt.Print(report)
	if write != "" {
		err = os.WriteFile(write, []byte(report), 0o644)
	}
	return missed, err
}

// commandOf is the command line that makes the same measurements.
func commandOf(quick bool, only string) string {
	if only != "" {
		return "go run ./bench -only " + only
	}
	if quick {
		return "go run ./bench -quick"
	}
	return "make bench"
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
		{"life", life},
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
	quick   bool
	command string // that makes this report
	dir     string
	rig     *rig
	vm      string // runs throughout, its init has finished starting
	facts   facts
	floor   *floor
	rows    []row
}

func newBench(quick bool) (*bench, error) {
	bin, err := filepath.Abs("build/bin")
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
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &bench{quick: quick, dir: dir, rig: r, vm: "bench"}, nil
}

// prepare makes the VM that runs throughout, and the floor of its machine.
func (b *bench) prepare(ctx context.Context) error {
	if _, err := b.rig.run(ctx, "vm", "create", "-n", b.vm); err != nil {
		return err
	}
	if _, err := b.rig.run(ctx, "start", b.vm); err != nil {
		return err
	}
	vm, err := b.rig.settle(ctx, b.vm)
	if err != nil {
		return err
	}
	b.facts = factsOf(vm)
	b.floor, err = newFloor(ctx, b.dir, vm.Dir, vm.Boot.VMMPID)
	return err
}

// rounds is how often to measure: a few times only in a quick run.
func (b *bench) rounds(n int) int {
	if b.quick {
		return max(2, n/10)
	}
	return n
}

func (b *bench) add(rows ...row) { b.rows = append(b.rows, rows...) }

func (b *bench) close() error { return errors.Join(b.rig.close(), os.RemoveAll(b.dir)) }
