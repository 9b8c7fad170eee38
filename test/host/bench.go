package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/test/host/call"
	"github.com/banger-vm/banger/test/host/machine"
	"github.com/banger-vm/banger/test/host/payload"
)

// measure runs the benchmarks on Firecracker, every group in a host of its
// own, and reports what they brought back. All is emulated there, so it
// measures a few rounds only; its exit code is 1 when a limit is missed.
func measure(ctx context.Context, args []string) (err error) {
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
	entries, err := r.benchPrograms(ctx)
	if err != nil {
		return err
	}
	disk, discard, err := r.makePayload(ctx, entries)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, discard()) }()
	scratch, err := os.MkdirTemp(r.dir, "report-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	at := func(name string) string { return filepath.Join(call.Payload, name) }
	argv := []string{
		at(programPath("bench")), "-bin", at("bin"), "-floor", at(programPath("bench/floor")), "-seed", at("seed"),
		"-t", (o.timeout - time.Minute).String(), "-vmm", *vmm, fmt.Sprintf("-quick=%t", !*full),
		"-note", note(), "-made-by", strings.TrimSpace("go run ./test/host bench " + strings.Join(args, " ")),
	}
	run := call.Run{User: o.user, Timeout: o.timeout, Env: environment()}
	var kept []string
	for i, part := range parts(*only) {
		run.Argv = append(slices.Clone(argv), "-only", part)
		file, err := r.measurePart(ctx, disk, run, filepath.Join(scratch, strconv.Itoa(i)))
		if err != nil {
			return fmt.Errorf("measuring %q: %w", part, err)
		}
		kept = append(kept, file)
	}
	if *write != "" && !filepath.IsAbs(*write) {
		*write = filepath.Join(r.source, *write)
	}
	return r.publish(ctx, r.built("bench"), "-join", strings.Join(kept, ","), "-write", *write)
}

// benchPrograms is what the hosts get.
func (r *rig) benchPrograms(ctx context.Context) ([]payload.Entry, error) {
	entries, err := r.belongings(ctx)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(r.source, builtDir), 0o755); err != nil {
		return nil, err
	}
	for _, pkg := range []string{"bench", "bench/floor"} {
		made := r.built(pkg)
		if err := r.goTool(ctx, "build", "-trimpath", "-ldflags", "-s -w", "-o", made, "./"+pkg); err != nil {
			return nil, err
		}
		entries = append(entries, payload.Entry{Name: programPath(pkg), Source: made})
	}
	return entries, nil
}

// built is where a program for the hosts is built.
func (r *rig) built(pkg string) string { return filepath.Join(r.source, builtDir, filepath.Base(pkg)) }

const builtDir = "build/host"

// parts are the groups that are measured in one host; that of the memory is
// about what is left after others.
func parts(only string) (parts []string) {
	for group := range strings.SplitSeq(only, ",") {
		if last := len(parts) - 1; group == "memory" && last >= 0 {
			parts[last] += "," + group
			continue
		}
		parts = append(parts, group)
	}
	return parts
}

// tries is how often a part is measured until host and guests live through it.
const tries = 5

// The exit codes of the benchmarks' program: a limit that is missed is a result
// like others, and measurements that came to no end may come to one in another host.
const (
	benchMissed = 1
	benchFailed = 3
)

// errFailed is of measurements that came to no end.
var errFailed = errors.New("the measurements came to no end")

// measurePart measures in a new host, and in another one if that or a guest is
// lost: with two emulated processors, some are (docs/adr/0009). It returns the
// file, in dir, of what was measured.
func (r *rig) measurePart(ctx context.Context, disk string, run call.Run, dir string) (file string, err error) {
	const kept = resultsDir + "/measured.json"
	run.Argv = append(run.Argv, "-keep", kept)
	for try := 1; ; try++ {
		err := r.withDisk(ctx, disk, func(m *machine.Machine) error {
			if err := m.SetUp(ctx, coverDir, resultsDir); err != nil {
				return err
			}
			exit, err := m.Run(ctx, run, machine.IO{Stdout: os.Stdout, Stderr: os.Stderr})
			switch {
			case err != nil:
				return err
			case exit.Error != "":
				return errors.New(exit.Error)
			case exit.Code == benchFailed:
				return errFailed
			case exit.Code > benchMissed:
				return exitError(exit.Code)
			}
			return m.Fetch(ctx, kept, dir)
		})
		again := errors.Is(err, machine.ErrLost) || errors.Is(err, errFailed)
		if !again || try == tries {
			return filepath.Join(dir, filepath.Base(kept)), err
		}
		r.log.Warn("the measurements are begun again", "try", try, "reason", err)
	}
}

// publish has the benchmarks' program report; its exit code is the result.
func (r *rig) publish(ctx context.Context, program string, args ...string) error {
	_, err := r.run.Run(ctx, hostexec.Cmd{Name: program, Args: args, Stdout: os.Stdout, Stderr: os.Stderr})
	if exit := (*hostexec.ExitError)(nil); errors.As(err, &exit) {
		return exitError(exit.Code)
	}
	return err
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
