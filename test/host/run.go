package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/test/host/call"
	"github.com/banger-vm/banger/test/host/machine"
	"github.com/banger-vm/banger/test/host/payload"
)

// lanes is how many hosts there are at a time: each has one processor, and
// 4 GB of memory. One more than there are processors works while a test in
// another one waits.
func lanes() int { return min(runtime.NumCPU(), 2) + 1 }

const module = "github.com/banger-vm/banger/"

// places in the host that every user may write to, and that come back.
const (
	coverDir   = "/var/tmp/cover"
	resultsDir = "/var/tmp/results"
)

// runSuite runs the tests of the table and writes their results. Failed tests
// are no error: test/report tells them.
func runSuite(ctx context.Context, args []string) error {
	var where place
	f := flag.NewFlagSet("run", flag.ContinueOnError)
	where.flags(f)
	pattern := f.String("run", "", "the lines of the table whose name matches this `regexp` (default: all that do not take long)")
	list := f.Bool("list", false, "print the table and run nothing")
	if err := f.Parse(args); err != nil {
		return err
	}
	re, err := regexp.Compile(*pattern)
	if err != nil {
		return err
	}
	var tests []Test
	for _, t := range suite {
		if re.MatchString(t.Name) && !(t.Long && *pattern == "") {
			tests = append(tests, t)
		}
	}
	if len(tests) == 0 {
		return fmt.Errorf("no line of the table matches %q", *pattern)
	}
	if *list {
		for _, t := range tests {
			fmt.Printf("%-24s %-28s %-6s %v\t%s\n", t.Name, t.Package, t.User, t.Timeout, t.Run)
		}
		return nil
	}
	r, err := newRig(ctx, where)
	if err != nil {
		return err
	}
	return r.runTests(ctx, tests)
}

func (r *rig) runTests(ctx context.Context, tests []Test) (err error) {
	entries, err := r.belongings(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(tests, func(t Test) bool { return t.Apps }) {
		image, err := r.output(ctx, "go", "run", "./test/apps")
		if err != nil {
			return err
		}
		entries = append(entries, payload.Entry{Name: "apps", Source: image})
	}
	built, err := r.build(ctx, tests)
	if err != nil {
		return err
	}
	disk, discard, err := r.makePayload(ctx, append(entries, built...))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, discard()) }()
	if err := r.inLanes(ctx, tests, disk); err != nil {
		return err
	}
	return r.gather(tests)
}

// inLanes runs the lines of the table in some hosts at a time.
func (r *rig) inLanes(ctx context.Context, tests []Test, disk string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan Test, len(tests))
	for _, t := range tests {
		next <- t
	}
	close(next)
	var all sync.WaitGroup
	for range lanes() {
		all.Go(func() {
			for t := range next {
				began := time.Now()
				if err := r.runTest(ctx, t, disk); err != nil {
					cancel(fmt.Errorf("running %s: %w", t.Name, err))
				}
				if ctx.Err() != nil {
					return
				}
				r.log.Info("tests ended", "name", t.Name, "took", time.Since(began).Round(100*time.Millisecond))
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// gather puts the results of all lines into one file.
func (r *rig) gather(tests []Test) error {
	all, err := os.Create(r.result("host.json"))
	if err != nil {
		return err
	}
	for _, t := range tests {
		events, err := os.ReadFile(r.result("host-" + t.Name + ".json"))
		if err == nil {
			_, err = all.Write(events)
		}
		if err != nil {
			return errors.Join(err, all.Close())
		}
	}
	return all.Close()
}

// result is the path of a file of results.
func (r *rig) result(name string) string { return filepath.Join(r.source, "build/results", name) }

// testPath is where a package's test program is in the payload; beside it, in
// the package's directory, is its test data.
func testPath(pkg string) string { return filepath.Join("tests", pkg, "program.test") }

// build builds the test programs, and those that the tests need.
func (r *rig) build(ctx context.Context, tests []Test) ([]payload.Entry, error) {
	out := filepath.Join(r.source, "build/host")
	if err := errors.Join(os.MkdirAll(out, 0o755), os.MkdirAll(r.result(""), 0o755)); err != nil {
		return nil, err
	}
	var entries []payload.Entry
	done := map[string]bool{}
	for _, t := range tests {
		if done[t.Package] {
			continue
		}
		done[t.Package] = true
		made := filepath.Join(out, filepath.Base(t.Package)+".test")
		args := []string{"test", "-c", "-o", made}
		if coverage() != "" {
			args = append(args, "-cover", "-coverpkg="+module+"...")
		}
		if err := r.goTool(ctx, append(args, "./"+t.Package)...); err != nil {
			return nil, err
		}
		entries = append(entries, payload.Entry{Name: testPath(t.Package), Source: made})
		if data := filepath.Join(r.source, t.Package, "testdata"); exists(data) {
			entries = append(entries, payload.Entry{Name: filepath.Join("tests", t.Package, "testdata"), Source: data})
		}
	}
	for _, pkg := range programs {
		made := filepath.Join(out, filepath.Base(pkg))
		if err := r.goTool(ctx, "build", "-o", made, "./"+pkg); err != nil {
			return nil, err
		}
		entries = append(entries, payload.Entry{Name: programPath(pkg), Source: made})
	}
	return entries, nil
}

func programPath(pkg string) string { return filepath.Join("programs", filepath.Base(pkg)) }

func (r *rig) goTool(ctx context.Context, args ...string) error {
	_, err := r.run.Run(ctx, hostexec.Cmd{
		Name: "go", Args: args, Dir: r.source, Env: append(os.Environ(), "CGO_ENABLED=0"), Stderr: os.Stderr,
	})
	return err
}

// coverage is the directory that the caller wants coverage in; "" for none.
func coverage() string { return os.Getenv("GOCOVERDIR") }

// command is how a line of the table is run in the host.
func (t Test) command() call.Run {
	program := filepath.Join(call.Payload, testPath(t.Package))
	argv := []string{
		"sh", "-c", `exec "$@" 2>&1`, "sh", program,
		"-test.v=test2json", "-test.paniconexit0", "-test.run=" + t.Run, "-test.skip=" + t.Skip,
		// Sooner than ours: it tells where all goroutines are.
		"-test.timeout=" + (t.Timeout - 15*time.Second).String(),
	}
	env := append(environment(), "BANGER_TEST_RESULTS="+resultsDir)
	for name, pkg := range programs {
		env = append(env, name+"="+filepath.Join(call.Payload, programPath(pkg)))
	}
	if coverage() != "" {
		argv = append(argv, "-test.gocoverdir="+coverDir)
		env = append(env, "GOCOVERDIR="+coverDir)
	}
	return call.Run{
		Argv: argv, Env: append(env, t.Env...), User: t.User, Timeout: t.Timeout,
		Dir: filepath.Dir(program),
	}
}

// runTest runs a line of the table in a host of its own.
func (r *rig) runTest(ctx context.Context, t Test, disk string) (err error) {
	m, err := r.lab.Start(ctx, disk)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if err := m.SetUp(ctx, coverDir, resultsDir); err != nil {
		return err
	}
	res, err := r.newResults(ctx, t)
	if err != nil {
		return err
	}
	exit, lost := m.Run(ctx, t.command(), machine.IO{Stdout: res})
	if err := res.close(exit, lost); err != nil || ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	if lost != nil {
		return nil // it is told as a failure, and nothing can be fetched
	}
	if exit.Code != 0 {
		return r.evidence(ctx, t, m)
	}
	return r.fetch(ctx, m)
}

// fetch brings back what the tests left.
func (r *rig) fetch(ctx context.Context, m *machine.Machine) error {
	err := m.Fetch(ctx, resultsDir+"/.", r.result(""))
	if dir := coverage(); dir != "" {
		err = errors.Join(err, m.Fetch(ctx, coverDir+"/.", dir))
	}
	return err
}
