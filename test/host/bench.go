package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/banger-vm/banger/test/host/call"
	"github.com/banger-vm/banger/test/host/machine"
	"github.com/banger-vm/banger/test/host/payload"
)

// measure runs the benchmarks on Firecracker and brings the report back. All
// is emulated there, so it measures a few rounds only; its exit code is 1 when
// a limit is missed.
func measure(ctx context.Context, args []string) error {
	var o options
	f := o.flags("bench")
	// On one processor daemon, monitor, VMM and guest would wait for one another,
	// and no real host is like that.
	if err := errors.Join(f.Set("t", "1h"), f.Set("cpus", "2")); err != nil {
		return err
	}
	vmm := f.String("vmm", "firecracker", "measure this VMM")
	only := f.String("only", "cold,exec,health,memory", "measure only these groups; \"\" for all")
	full := f.Bool("full", false, "as many rounds as on a real machine")
	write := f.String("write", "docs/benchmarks-firecracker.md", "write the report to this `FILE`; \"\" to print it only")
	if err := f.Parse(args); err != nil {
		return err
	}
	if o.timeout <= time.Minute {
		return fmt.Errorf("%v leaves nothing to measure in", o.timeout)
	}
	r, err := newRig(ctx, o.place)
	if err != nil {
		return err
	}
	entries, err := r.belongings(ctx)
	if err != nil {
		return err
	}
	out := filepath.Join(r.source, "build/host")
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for _, pkg := range []string{"bench", "bench/floor"} {
		made := filepath.Join(out, filepath.Base(pkg))
		if err := r.goTool(ctx, "build", "-trimpath", "-ldflags", "-s -w", "-o", made, "./"+pkg); err != nil {
			return err
		}
		entries = append(entries, payload.Entry{Name: programPath(pkg), Source: made})
	}
	const report = resultsDir + "/report.md"
	at := func(name string) string { return filepath.Join(call.Payload, name) }
	argv := []string{
		at(programPath("bench")), "-bin", at("bin"), "-floor", at(programPath("bench/floor")), "-seed", at("seed"),
		"-t", (o.timeout - time.Minute).String(), "-vmm", *vmm, "-only", *only, fmt.Sprintf("-quick=%t", !*full),
		"-write", report, "-note", note(), "-made-by", strings.TrimSpace("go run ./test/host bench " + strings.Join(args, " ")),
	}
	run := call.Run{Argv: argv, User: o.user, Timeout: o.timeout, Env: environment()}
	return r.withMachine(ctx, entries, func(m *machine.Machine) error {
		if err := m.SetUp(ctx, coverDir, resultsDir); err != nil {
			return err
		}
		exit, err := m.Run(ctx, run, machine.IO{Stdout: os.Stdout, Stderr: os.Stderr})
		if err != nil {
			return err
		}
		if exit.Error != "" {
			return fmt.Errorf("the benchmarks: %s", exit.Error)
		}
		if exit.Code > 1 {
			return exitError(exit.Code)
		}
		if err := r.keepReport(ctx, m, report, *write); err != nil {
			return err
		}
		if exit.Code != 0 {
			return exitError(exit.Code)
		}
		return nil
	})
}

// keepReport brings the report back; there is none if a measurement failed.
func (r *rig) keepReport(ctx context.Context, m *machine.Machine, report, to string) error {
	if to == "" {
		return nil
	}
	dir, err := os.MkdirTemp(r.dir, "report-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := m.Fetch(ctx, report, dir); err != nil {
		return fmt.Errorf("the benchmarks left no report: %w", err)
	}
	body, err := os.ReadFile(filepath.Join(dir, filepath.Base(report)))
	if err != nil {
		return err
	}
	if !filepath.IsAbs(to) {
		to = filepath.Join(r.source, to)
	}
	return os.WriteFile(to, body, 0o644)
}

// note is what the report must say of where it was made.
func note() string {
	load := "unknown"
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		load, _, _ = strings.Cut(string(b), " ")
	}
	return fmt.Sprintf("where: the test host, a Debian in QEMU/TCG that emulates the processor and its SVM; "+
		"the machine around it has %d cores and a load average of %s. Only ratios carry over.", runtime.NumCPU(), load)
}
