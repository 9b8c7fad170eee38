package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/banger-vm/banger/test/matrix/result"
)

func line(action, test string, more string) string {
	return fmt.Sprintf(`{"Action":%q,"Package":"github.com/banger-vm/banger/internal/x","Test":%q%s}`, action, test, more)
}

func TestReport(t *testing.T) {
	for _, tc := range []struct {
		name  string
		lines []string
		skips string
		err   string
		last  string
		has   []string
	}{
		{
			name:  "all is well",
			lines: []string{line("pass", "TestA", `,"Elapsed":0.5`), line("pass", "TestB", ""), line("pass", "", "")},
			last:  "2 passed, 0 failed, 0 skipped",
			has:   []string{"slow:   0.50 s internal/x TestA\n"},
		},
		{
			name:  "a failure is printed whole",
			lines: []string{line("output", "TestA", `,"Output":"one\n"`), line("output", "TestA", `,"Output":"two\n"`), line("fail", "TestA", ""), line("pass", "TestB", "")},
			err:   "1 failed",
			last:  "1 passed, 1 failed, 0 skipped",
			has:   []string{"--- FAIL internal/x TestA\none\ntwo\n"},
		},
		{
			name:  "a package that fails without a test",
			lines: []string{line("pass", "TestA", ""), line("output", "", `,"Output":"panic\n"`), line("fail", "", "")},
			err:   "1 failed",
			last:  "1 passed, 1 failed, 0 skipped",
			has:   []string{"--- FAIL internal/x\npanic\n"},
		},
		{
			name:  "a test that a time-out cut short",
			lines: []string{line("run", "TestA", ""), line("output", "TestA", `,"Output":"goroutine 1\n"`), line("fail", "", "")},
			err:   "2 failed",
			last:  "0 passed, 2 failed, 0 skipped",
			has:   []string{"--- FAIL internal/x TestA\ngoroutine 1\n"},
		},
		{
			name:  "a package that is said to fail twice",
			lines: []string{line("pass", "TestA", ""), line("fail", "", ""), line("output", "", `,"Output":"exit code 2\n"`), line("fail", "", "")},
			err:   "1 failed",
			last:  "1 passed, 1 failed, 0 skipped",
			has:   []string{"--- FAIL internal/x\nexit code 2\n"},
		},
		{
			name: "a package that does not compile",
			lines: []string{
				`{"ImportPath":"internal/y","Action":"build-output","Output":"no such name\n"}`,
				`{"ImportPath":"internal/y","Action":"build-fail"}`, line("pass", "TestA", ""),
			},
			err:  "1 failed",
			last: "1 passed, 1 failed, 0 skipped",
			has:  []string{"--- FAIL internal/y\nno such name\n"},
		},
		{
			name:  "a permitted skip",
			lines: []string{line("pass", "TestA", ""), line("skip", "TestB", "")},
			skips: "# a comment\ninternal/x TestB not here today\n",
			last:  "1 passed, 0 failed, 1 skipped",
			has:   []string{"skipped: internal/x TestB (not here today)\n"},
		},
		{
			name:  "a subtest of a permitted skip is not permitted",
			lines: []string{line("pass", "TestB", ""), line("skip", "TestB/sub", "")},
			skips: "internal/x TestB not here today\n",
			err:   "1 failed",
			last:  "1 passed, 1 failed, 1 skipped",
			has:   []string{"skipped: internal/x TestB/sub (NOT PERMITTED"},
		},
		{
			name:  "a subtest with a row of its own",
			lines: []string{line("pass", "TestB", ""), line("skip", "TestB/sub", "")},
			skips: "internal/x TestB/sub not here today\n",
			last:  "1 passed, 0 failed, 1 skipped",
		},
		{
			name:  "no test",
			lines: []string{line("skip", "", ""), "go: no such package"},
			err:   "no test ran",
			last:  "0 passed, 0 failed, 0 skipped",
			has:   []string{"go: no such package\n"},
		},
		{name: "a row without a reason", skips: "internal/x TestB\n", err: "has no reason"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			events, skips := filepath.Join(dir, "events"), filepath.Join(dir, "skips")
			for path, text := range map[string]string{events: strings.Join(tc.lines, "\n"), skips: tc.skips} {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var out strings.Builder
			err := run(&out, events, skips, "")
			if (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("the error is %v, not %q", err, tc.err)
			}
			printed := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
			if last := printed[len(printed)-1]; last != tc.last {
				t.Errorf("the last line is %q, not %q", last, tc.last)
			}
			for _, part := range tc.has {
				if !strings.Contains(out.String(), part) {
					t.Errorf("%q is not in:\n%s", part, out.String())
				}
			}
		})
	}
}

func TestTheSlowestTenAreTold(t *testing.T) {
	var lines []string
	for i := range 20 {
		lines = append(lines, line("pass", fmt.Sprintf("Test%02d", i), fmt.Sprintf(`,"Elapsed":%d`, i+1)))
	}
	lines = append(lines, line("pass", "Test19/sub", `,"Elapsed":100`)) // is part of Test19
	r, err := read(strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	slow := r.slowest(slowest)
	if len(slow) != 10 || slow[0].key != "internal/x Test19" || slow[9].key != "internal/x Test10" {
		t.Errorf("the slowest are %v", slow)
	}
}

func TestResults(t *testing.T) {
	dir := t.TempDir()
	events, skips, out := filepath.Join(dir, "events"), filepath.Join(dir, "skips"), filepath.Join(dir, "results")
	tcg := result.Variant{VMM: "qemu/tcg", Disk: "guestcow", User: "root"}
	copied := result.Variant{VMM: "qemu/tcg", Disk: "copy", User: "root"}
	alone := result.Variant{VMM: "qemu/tcg", User: "root"}
	lines := strings.Join([]string{
		ranOn(t, "test/e2e", "TestGuestPowersOff", tcg), e2e("pass", "TestGuestPowersOff"),
		ranOn(t, "test/e2e", "TestGuestPowersOff/again", copied, "slow."), e2e("pass", "TestGuestPowersOff/again"),
		e2e("fail", "TestVMMKilled"), ranOn(t, "test/e2e", "TestLife", tcg), e2e("pass", "TestLife"),
		e2e("skip", "TestTTY"), e2e("pass", "TestStopLeavesVMs"), line("pass", "TestUnit", ""),
		ranOn(t, "internal/x", "TestRealConformance/Kill", alone), line("pass", "TestRealConformance/Kill", ""),
		line("skip", "TestRealConformance/FullHost", ""), line("pass", "TestRealConformance", ""),
		ranOn(t, "internal/x", "TestConformance/Reset", result.Variant{Disk: "copy", User: "root"}), line("pass", "TestConformance/Reset", ""),
	}, "\n")
	for path, text := range map[string]string{
		events: lines, skips: "test/e2e TestTTY no terminal here\ninternal/x TestRealConformance/FullHost no root\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(io.Discard, events, skips, out); err == nil {
		t.Error("a failed test is no error")
	}
	var got []result.Result
	data, err := os.ReadFile(out)
	if err == nil {
		err = json.Unmarshal(data, &got)
	}
	if err != nil {
		t.Fatal(err)
	}
	want := []result.Result{
		{Feature: "guest powers off", Variant: copied, Result: result.Pass, Reason: "slow."},
		{Feature: "guest powers off", Variant: tcg, Result: result.Pass},
		{Feature: "life", Variant: tcg, Result: result.Pass},
		{Feature: "stop leaves VMs", Variant: tcg, Result: result.Pass},
		{Feature: "VMM/kill", Variant: alone, Result: result.Pass},
		{Feature: "Disk/reset", Variant: result.Variant{Disk: "copy", User: "root"}, Result: result.Pass},
		{Feature: "VMM killed", Variant: tcg, Result: result.Fail},
		{Feature: "TTY", Variant: tcg, Result: result.Skip, Reason: "no terminal here"},
		{Feature: "VMM/full host", Variant: alone, Result: result.Skip, Reason: "no root"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// ranOn is the attribute by which a test tells what it ran on.
func ranOn(t *testing.T, pkg, test string, on result.Variant, reduced ...string) string {
	t.Helper()
	value, err := json.Marshal(result.RanOn{Variant: on, Reduced: reduced})
	if err != nil {
		t.Fatal(err)
	}
	attr := line("attr", test, fmt.Sprintf(`,"Key":%q,"Value":%q`, result.AttrRanOn, value))
	return strings.Replace(attr, "internal/x", pkg, 1)
}

func e2e(action, test string) string {
	return strings.Replace(line(action, test, ""), "internal/x", "test/e2e", 1)
}
