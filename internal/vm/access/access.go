// Package access keeps what OpenSSH needs to reach the VMs by name: the key that
// opens them, their host keys, and a configuration with a block for each. ssh's
// way into a VM is the agent's channel (banger dial): no network is needed.
package access

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/banger-vm/banger/internal/vm/sshkey"
)

// The files besides the key.
const (
	configFile = "config"
	knownHosts = "known_hosts"
)

// VM is one to be reached.
type VM struct {
	ID, Name string
	User     string // who is logged in
	HostKey  string // public, as in authorized_keys
}

// Files are those of one state directory.
type Files struct {
	dir  string
	zone string
	dial func(id string) []string
	turn chan struct{} // held by who writes
}

// New keeps the files in dir, a directory that only its owner may enter. The
// VMs' names end in zone, "" for DefaultZone; dial makes the command that
// connects to a VM's SSH server.
func New(dir, zone string, dial func(id string) []string) *Files {
	return &Files{dir: dir, zone: cmp.Or(zone, DefaultZone), dial: dial, turn: make(chan struct{}, 1)}
}

// Zone is what the VMs' names end in.
func (f *Files) Zone() string { return f.zone }

// Host is a VM's name for OpenSSH.
func (f *Files) Host(name string) string { return name + "." + f.zone }

// Key is the public half of the key that opens all VMs.
func (f *Files) Key() (string, error) {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return "", fmt.Errorf("making the directory of SSH's files: %w", err)
	}
	private, err := sshkey.Ensure(f.dir, sshkey.Client)
	if err != nil {
		return "", err
	}
	return sshkey.Public(private)
}

// Config is the path of the configuration.
func (f *Files) Config() string { return filepath.Join(f.dir, configFile) }

// Write makes the files say what is true; list is asked when it is this call's
// turn, so that the last one to write knows all.
func (f *Files) Write(ctx context.Context, list func(context.Context) ([]VM, error)) error {
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	vms, err := list(ctx)
	if err != nil {
		return err
	}
	if _, err := f.Key(); err != nil {
		return err
	}
	hosts, config := f.render(vms)
	return errors.Join(f.replace(knownHosts, hosts), f.replace(configFile, config))
}

func (f *Files) replace(name, content string) error {
	path := filepath.Join(f.dir, name)
	if old, err := os.ReadFile(path); err == nil && string(old) == content {
		return nil
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, []byte(content), 0o600); err != nil {
		return fmt.Errorf("writing SSH's files: %w", err)
	}
	return os.Rename(tmp, path)
}

func (f *Files) render(vms []VM) (hosts, config string) {
	var h, c strings.Builder
	c.WriteString("# Made by banger, anew whenever a VM comes or goes. To have it in yours: banger ssh-config --install\n")
	for _, vm := range vms {
		host := f.Host(vm.Name)
		fmt.Fprintf(&h, "%s %s\n", host, vm.HostKey)
		fmt.Fprintf(&c, "\nHost %s\n", host)
		for _, option := range [][2]string{
			{"HostName", host},
			{"User", vm.User},
			{"IdentityFile", quote(filepath.Join(f.dir, sshkey.Client))},
			{"IdentitiesOnly", "yes"},
			{"HostKeyAlias", host},
			{"UserKnownHostsFile", quote(filepath.Join(f.dir, knownHosts))},
			{"GlobalKnownHostsFile", "none"},
			{"StrictHostKeyChecking", "yes"},
			{"CheckHostIP", "no"},
			{"ForwardAgent", "no"},
			{"ProxyCommand", shell(f.dial(vm.ID))},
		} {
			fmt.Fprintf(&c, "  %s %s\n", option[0], option[1])
		}
	}
	return h.String(), c.String()
}

// quote makes a path one word of ssh_config; % begins a token there.
func quote(path string) string {
	return `"` + strings.NewReplacer(`%`, `%%`, `"`, `\"`).Replace(path) + `"`
}

// shell is a command as ssh hands it to a shell.
func shell(argv []string) string {
	words := make([]string, len(argv))
	for i, word := range argv {
		if strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._=:-") != "" || word == "" {
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		words[i] = strings.ReplaceAll(word, "%", "%%")
	}
	return strings.Join(words, " ")
}
