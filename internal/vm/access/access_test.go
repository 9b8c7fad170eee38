package access

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHostKeyHostKeyHostKeyHostKeyHostKeyHost"

func listOf(vms ...VM) func(context.Context) ([]VM, error) {
	return func(context.Context) ([]VM, error) { return vms, nil }
}

func banger(id string) []string { return []string{"banger", id} }

// odd is a directory whose name means something to ssh and to a shell.
func odd(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "it's 100% \"odd\"", "ssh")
}

// OpenSSH itself says what it makes of the configuration.
func TestWhatSSHReads(t *testing.T) {
	dir := odd(t)
	f := New(dir, "", func(id string) []string {
		return []string{"/opt/my programs/banger", "--socket=/run/it's 100%/s", "dial", id}
	})
	if err := f.Write(t.Context(), listOf(VM{"0123abcd", "dev", "me", hostKey}, VM{"4567abcd", "web", "dev", hostKey})); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ssh", "-G", "-F", f.Config(), "dev.vm").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{
		"user me", "hostname dev.vm", "hostkeyalias dev.vm", "stricthostkeychecking true", "forwardagent no", "identitiesonly yes",
		"identityfile " + filepath.Join(strings.ReplaceAll(dir, "%", "%%"), "id_ed25519"),
		"userknownhostsfile " + filepath.Join(dir, "known_hosts"), // expanded already
		`proxycommand '/opt/my programs/banger' '--socket=/run/it'\''s 100%%/s' dial 0123abcd`,
	} {
		if !strings.Contains(string(out), want+"\n") {
			t.Errorf("it has no %q:\n%s", want, out)
		}
	}
	hosts, err := os.ReadFile(filepath.Join(dir, "known_hosts"))
	if want := "dev.vm " + hostKey + "\nweb.vm " + hostKey + "\n"; err != nil || string(hosts) != want {
		t.Errorf("the known hosts are %q, %v", hosts, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "id_ed25519")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key is %v, %v", info, err)
	}
}

// Whoever writes last has asked last.
func TestWritersTakeTurns(t *testing.T) {
	f := New(odd(t), "", banger)
	var mu sync.Mutex
	var vms []VM
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			mu.Lock()
			vms = append(vms, VM{ID: "x", Name: strings.Repeat("a", i+1), User: "dev", HostKey: hostKey})
			mu.Unlock()
			err := f.Write(t.Context(), func(context.Context) ([]VM, error) {
				mu.Lock()
				defer mu.Unlock()
				return append([]VM(nil), vms...), nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	config, err := os.ReadFile(f.Config())
	if n := strings.Count(string(config), "\nHost "); err != nil || n != 20 {
		t.Errorf("%d VMs are in it, %v", n, err)
	}
}

func TestFailures(t *testing.T) {
	f := New(odd(t), "", banger)
	broken := errors.New("broken")
	if err := f.Write(t.Context(), func(context.Context) ([]VM, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("Write = %v", err)
	}
	f.turn <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Write(ctx, listOf()); !errors.Is(err, context.Canceled) {
		t.Errorf("Write = %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := New(filepath.Join(file, "ssh"), "", banger).Write(t.Context(), listOf()); err == nil {
		t.Error("it wrote below a file")
	}
}
