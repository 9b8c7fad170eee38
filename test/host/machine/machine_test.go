package machine

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestConsoleKeepsItsEnd(t *testing.T) {
	var c console
	for range 100_000 {
		if _, err := c.Write([]byte("a line with \x1b[31mcolours\x1b[0m\r\n")); err != nil {
			t.Fatal(err)
		}
	}
	c.Write([]byte("Kernel panic\xff\r\n"))
	if len(c.buf) > 2*consoleKept {
		t.Errorf("%d bytes are kept", len(c.buf))
	}
	lines := strings.Split(c.tail(), "\n")
	if len(lines) != tailLines || lines[tailLines-1] != "Kernel panic" || strings.ContainsAny(c.tail(), "\x1b\r") || strings.Contains(c.tail(), "\xff") {
		t.Errorf("%d lines, the last is %q", len(lines), lines[len(lines)-1])
	}
}

func TestArguments(t *testing.T) {
	a := arguments{
		kernel: "/k", initramfs: "/i", cmdline: cmdline(2_600_000), root: "file=/r,,x,format=raw",
		modules: "/m", payload: "/p,1", memory: "/mem", shared: true,
	}
	saving := a.list()
	for _, want := range []string{
		"memory-backend-file,id=ram,size=4000M,share=on,mem-path=/mem",
		"file=/r,,x,format=raw,if=none,id=root,cache=unsafe,discard=unmap",
		"file=/p,,1,format=raw,if=none,id=payload,readonly=on,file.locking=off",
	} {
		if !slices.Contains(saving, want) {
			t.Errorf("%q is not in %q", want, saving)
		}
	}
	if i := slices.Index(saving, "-append"); !strings.Contains(saving[i+1], "tsc_early_khz=2600000 tsc=reliable") {
		t.Errorf("the kernel is told %q", saving[i+1])
	}
	a.shared, a.incoming = false, true
	restoring := a.list()
	if !slices.Contains(restoring, "-incoming") || !slices.Contains(restoring, "memory-backend-file,id=ram,size=4000M,share=off,mem-path=/mem") {
		t.Errorf("a restored machine would change the saved one: %q", restoring)
	}
}

func TestUsable(t *testing.T) {
	dir := t.TempDir()
	if usable(dir, 2_600_000) {
		t.Error("a host that is not there is usable")
	}
	for text, want := range map[string]bool{"2600000": true, "2600900": true, "2610000": false, "x": false, "": false} {
		if err := os.WriteFile(filepath.Join(dir, savedTSC), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if usable(dir, 2_600_000) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}

func TestSplit(t *testing.T) {
	for path, want := range map[string][2]string{
		"/var/log/x": {"/var/log/", "x"}, "/var/log/": {"/var/", "log"}, "x": {"/root", "x"}, "/x/.": {"/x/", "."}, "/x": {"/", "x"},
	} {
		if parent, base := split(path); parent != want[0] || base != want[1] {
			t.Errorf("%s: %q %q", path, parent, base)
		}
	}
}
