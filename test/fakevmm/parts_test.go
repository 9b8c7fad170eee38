package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/vmm/vmmtest/lab"
)

func TestParseFaults(t *testing.T) {
	got, err := parseFaults("spawn exit\n\n start\t20ms\nend hang\n")
	if want := (faults{"spawn": "exit", "start": "20ms", "end": "hang"}); err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"spawn", "spawn exit now", "lunch exit", "start -1s", "start soon"} {
		if f, err := parseFaults(bad); err == nil {
			t.Errorf("%q is %v", bad, f)
		}
	}
	began := time.Now()
	if err := got.at("start"); err != nil || time.Since(began) < 20*time.Millisecond {
		t.Errorf("a slow step ended after %v with %v", time.Since(began), err)
	}
	if err := (faults{"pause": "fail"}).at("pause"); err == nil {
		t.Error("a step that is to fail does not")
	}
	if err := got.at("pause"); err != nil {
		t.Errorf("a step without a fault: %v", err)
	}
}

func TestFindInit(t *testing.T) {
	one, two := lab.Archive([]byte("one")), lab.Archive(bytes.Repeat([]byte("two"), 100))
	both := append(append(append([]byte{}, one...), make([]byte, 512)...), two...)
	if got, err := findInit(both); err != nil || string(got) != strings.Repeat("two", 100) {
		t.Errorf("of two archives: %q, %v", got, err)
	}
	for name, bad := range map[string][]byte{"cut": two[:150], "no archive": []byte("hello, I am none"), "a size too large": bytes.Replace(one, []byte("00000003"), []byte("7fffffff"), 1)} {
		if got, err := findInit(bad); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A layer that is not ours is not formatted: it may hold somebody's work.
func TestFormatKeepsWhatIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "layer")
	data := append([]byte("SnAp"), make([]byte, 8<<20)...)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := format(path); err == nil || !strings.Contains(err.Error(), "written by a guest with a kernel") {
		t.Errorf("format = %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, data) {
		t.Errorf("it was written to (%v)", err)
	}
}

func TestParseStat(t *testing.T) {
	s, err := parseStat("       7        1      16        2        3        0       32        4        0        4        6\n")
	if err != nil || s.Reads != 7 || s.ReadBytes != 16*512 || s.Writes != 3 || s.WrittenBytes != 32*512 {
		t.Errorf("%+v, %v", s, err)
	}
	for _, bad := range []string{"", "1 2 3", "a b c d e f g"} {
		if _, err := parseStat(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
