package hostexec_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/hostexec"
)

func TestSpawnInNamespaces(t *testing.T) {
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p, err := hostexec.Spawn(hostexec.Daemon{
		Name: "sh", Args: []string{"-c", `echo $$ $(id -u) $(id -g); grep -E '^Cap(Eff|Amb)' /proc/self/status; readlink /proc/self/ns/net`},
		Env: []string{"PATH=/usr/bin:/bin"}, Stdout: out,
		Namespaces: &hostexec.Namespaces{PID: true, Network: true, ID: 1234, Capabilities: []uintptr{21}},
	})
	if err != nil {
		t.Skipf("there are no namespaces for us here: %v", err)
	}
	defer p.Kill()
	if exit, err := p.Wait(t.Context()); err != nil || exit.Code != 0 {
		t.Fatalf("Wait = %v, %v", exit, err)
	}
	b, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	ours, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(b), "\n")
	if lines[0] != "1 1234 1234" || len(lines) != 5 || !strings.HasSuffix(lines[1], "\t0000000000200000") ||
		!strings.HasSuffix(lines[2], "\t0000000000200000") || lines[3] == ours {
		t.Errorf("it told %q; our network is %s", lines, ours)
	}
}
