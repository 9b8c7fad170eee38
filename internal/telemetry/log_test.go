package telemetry

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLogIsCapped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	log, closer, err := Open(Config{File: path, MaxBytes: 4 << 10})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 500 {
		log.Info("a line of some length that repeats", "i", i)
	}
	if err := closer.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + ".1"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > 4<<10 {
			t.Errorf("%s has %d bytes, more than the cap", filepath.Base(name), info.Size())
		}
	}
	data, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(data), "i=499") {
		t.Errorf("the newest line is not in the log (%v)", err)
	}
}

func TestBadConfigIsRefused(t *testing.T) {
	for _, cfg := range []Config{{Level: "loud"}, {Format: "xml"}, {File: "/nowhere/at/all/log"}} {
		if _, _, err := Open(cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}
