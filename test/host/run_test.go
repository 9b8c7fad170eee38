package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/test/host/call"
)

var testRE = regexp.MustCompile(`(?m)^func (Test\w+)\(`)

// Every line of the table has a name of its own and names tests that exist.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, line := range suite {
		if seen[line.Name] || !regexp.MustCompile(`^[a-z0-9-]+$`).MatchString(line.Name) {
			t.Errorf("%q is no name, or another line's", line.Name)
		}
		seen[line.Name] = true
		if line.Timeout < time.Minute {
			t.Errorf("%s: a timeout of %v leaves nothing for its end", line.Name, line.Timeout)
		}
		files, err := filepath.Glob(filepath.Join("../..", line.Package, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		top, _, _ := strings.Cut(line.Run, "/") // as go test takes it
		run := regexp.MustCompile(top)
		found := false
		for _, file := range files {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range testRE.FindAllStringSubmatch(string(body), -1) {
				found = found || run.MatchString(m[1])
			}
		}
		if !found {
			t.Errorf("%s: no test of %s matches %s", line.Name, line.Package, line.Run)
		}
	}
}

func TestProgramsHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, pkg := range programs {
		if seen[programPath(pkg)] {
			t.Errorf("two programs are %s", programPath(pkg))
		}
		seen[programPath(pkg)] = true
	}
}

func TestCommand(t *testing.T) {
	t.Setenv("GOCOVERDIR", "")
	line := Test{Name: "x", Package: "internal/x", Run: "^TestA", Skip: "B", User: "ann", Timeout: time.Minute, Env: []string{"A=1"}}
	r := line.command()
	if r.User != "ann" || r.Timeout != time.Minute || r.Dir != "/payload/tests/internal/x" || !slices.Contains(r.Env, "A=1") {
		t.Errorf("%+v", r)
	}
	argv := strings.Join(r.Argv, " ")
	for _, want := range []string{"/payload/tests/internal/x/program.test ", "-test.run=^TestA", "-test.skip=B", "-test.timeout=45s"} {
		if !strings.Contains(argv, want) {
			t.Errorf("%q is not in %s", want, argv)
		}
	}
	if strings.Contains(argv, "cover") {
		t.Errorf("coverage that nobody asked for: %s", argv)
	}
	t.Setenv("GOCOVERDIR", t.TempDir())
	if r := line.command(); !slices.Contains(r.Argv, "-test.gocoverdir="+coverDir) || !slices.Contains(r.Env, "GOCOVERDIR="+coverDir) {
		t.Errorf("coverage is asked for: %+v", r)
	}
}

const passing = "\x16=== RUN   TestA\n\x16--- PASS: TestA (0.01s)\n\x16PASS\n"

func TestResults(t *testing.T) {
	for name, c := range map[string]struct {
		out  string
		exit call.Exit
		lost error
		want map[string]string // the last action of a test, "" the package
		says string
	}{
		"passes":            {out: passing, want: map[string]string{"TestA": "pass", "": "pass"}},
		"fails":             {out: "\x16=== RUN   TestA\n    x_test.go:1: no\n\x16--- FAIL: TestA (0.01s)\n\x16FAIL\n", exit: call.Exit{Code: 1}, want: map[string]string{"TestA": "fail", "": "fail"}, says: "x_test.go:1: no"},
		"ends with a code":  {out: passing, exit: call.Exit{Code: 2}, want: map[string]string{"TestA": "pass", "": "fail"}, says: "exit code 2"},
		"ends in silence":   {exit: call.Exit{Code: 1}, want: map[string]string{"": "fail"}, says: "exit code 1"},
		"times out":         {out: "\x16=== RUN   TestA\n", exit: call.Exit{Code: 124, Error: "it was ended after 1m"}, want: map[string]string{"": "fail"}, says: "it was ended after 1m"},
		"the host is lost":  {out: "\x16=== RUN   TestA\n", lost: errors.New("the host is lost: panic"), want: map[string]string{"": "fail"}, says: "the host is lost: panic"},
		"prints no results": {out: "killed\n", exit: call.Exit{Code: 137, Error: "killed"}, want: map[string]string{"": "fail"}, says: "killed"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &rig{source: t.TempDir(), run: hostexec.Host{}}
			if err := os.MkdirAll(r.result(""), 0o700); err != nil {
				t.Fatal(err)
			}
			res, err := r.newResults(t.Context(), Test{Name: "name", Package: "internal/x"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := res.Write([]byte(c.out)); err != nil {
				t.Fatal(err)
			}
			if err := res.close(c.exit, c.lost); err != nil {
				t.Fatal(err)
			}
			checkEvents(t, r, c.want, c.says)
		})
	}
}

func checkEvents(t *testing.T, r *rig, want map[string]string, says string) {
	t.Helper()
	one, err := os.ReadFile(r.result("host-name.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.gather([]Test{{Name: "name"}}); err != nil {
		t.Fatal(err)
	}
	if all, err := os.ReadFile(r.result("host.json")); err != nil || string(all) != string(one) {
		t.Errorf("the results of all are %q, %v", all, err)
	}
	got, text := map[string]string{}, ""
	for line := range strings.Lines(string(one)) {
		var e struct{ Action, Package, Test, Output string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		if e.Package != module+"internal/x@name" {
			t.Errorf("the package is %q", e.Package)
		}
		if e.Action == "pass" || e.Action == "fail" {
			got[e.Test] = e.Action
		}
		text += e.Output
	}
	for test, action := range want {
		if got[test] != action {
			t.Errorf("%q ends with %q, want %q", test, got[test], action)
		}
	}
	if !strings.Contains(text, says) {
		t.Errorf("%q is not in %q", says, text)
	}
}

func TestResultsAreBounded(t *testing.T) {
	r := &results{left: 3}
	if _, err := r.Write([]byte("four")); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Error(err)
	}
}

func TestPairs(t *testing.T) {
	var p pairs
	for _, bad := range []string{"a", "=b", "a="} {
		if p.Set(bad) == nil {
			t.Errorf("%q is a pair", bad)
		}
	}
	if err := p.Set("a=b=c"); err != nil || p[0] != [2]string{"a", "b=c"} {
		t.Errorf("%v, %v", p, err)
	}
}

func TestParts(t *testing.T) {
	for only, want := range map[string][]string{
		"cold,exec,health,memory": {"cold", "exec", "health,memory"},
		"memory":                  {"memory"},
		"":                        {""}, // all
	} {
		if got := parts(only); !slices.Equal(got, want) {
			t.Errorf("%q: %q", only, got)
		}
	}
}
