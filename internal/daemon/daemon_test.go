package daemon

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/version"
)

func TestTwoDaemonsNeverShareAStateDirectory(t *testing.T) {
	dir := t.TempDir()
	first, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := lock(dir)
	if second != nil || fault.KindOf(err) != fault.Busy || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("the second got %v, %v", second, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	third, err := lock(dir)
	if err != nil {
		t.Fatalf("a lock that was closed is held: %v", err)
	}
	if err := third.Close(); err != nil {
		t.Error(err)
	}
	if f, err := lock(filepath.Join(dir, "missing")); f != nil || err == nil {
		t.Errorf("a missing directory was locked: %v, %v", f, err)
	}
}

func TestCompanion(t *testing.T) {
	root := t.TempDir()
	self := filepath.Join(root, "bin", "bangerd")
	beside, libexec := filepath.Join(root, "bin", "tool"), filepath.Join(root, "libexec", "banger", "tool")
	// A directory of its name is no program.
	if err := os.MkdirAll(beside, 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := companion(self, "tool"); err == nil || !strings.Contains(err.Error(), "libexec/banger") {
		t.Errorf("found %q, %v where there is none", got, err)
	}
	if err := os.MkdirAll(filepath.Dir(libexec), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(libexec, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := companion(self, "tool"); got != libexec || err != nil {
		t.Errorf("found %q, %v", got, err)
	}
	if err := os.Remove(beside); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(beside, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := companion(self, "tool"); got != beside || err != nil {
		t.Errorf("the one beside does not come first: %q, %v", got, err)
	}
}

func TestCommandLine(t *testing.T) {
	for _, tc := range []struct {
		args     []string
		code     int
		out, err string
	}{
		{args: []string{"--version"}, out: "bangerd " + version.Version + "\n"},
		{args: []string{"-h"}, err: "-state-dir"},
		{args: []string{"--no-such"}, code: 1, err: "flag provided but not defined"},
		{args: []string{"serve"}, code: 1, err: `"serve" is not understood`},
		{args: []string{"monitor", "--no-such"}, code: 1, err: "bangerd monitor: flag provided but not defined"},
	} {
		t.Run(strings.Join(tc.args, " "), func(t *testing.T) {
			var out, errOut bytes.Buffer
			if code := Main(tc.args, &out, &errOut); code != tc.code {
				t.Errorf("the exit code is %d", code)
			}
			if out.String() != tc.out || !strings.Contains(errOut.String(), tc.err) {
				t.Errorf("it said %q and %q", out.String(), errOut.String())
			}
		})
	}
}
