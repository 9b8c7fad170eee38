package monitor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/monitor/sandbox"
)

// system is what programs of the host need to run at all.
var system = []sandbox.Rule{
	{Path: "/usr", Access: sandbox.Exec},
	{Path: "/bin", Access: sandbox.Exec},
	{Path: "/sbin", Access: sandbox.Exec},
	{Path: "/lib", Access: sandbox.Exec},
	{Path: "/lib64", Access: sandbox.Exec},
	{Path: "/opt", Access: sandbox.Exec},
	{Path: "/nix", Access: sandbox.Exec},
	{Path: "/etc/ld.so.cache", Access: sandbox.Read},
	{Path: "/etc/ld.so.preload", Access: sandbox.Read},
	{Path: "/etc/localtime", Access: sandbox.Read},
	{Path: resolvConf, Access: sandbox.Read},
	{Path: "/etc/hosts", Access: sandbox.Read},
	{Path: "/proc", Access: sandbox.Read},
	{Path: "/sys", Access: sandbox.Read},
	{Path: "/dev/null", Access: sandbox.Write},
	{Path: "/dev/zero", Access: sandbox.Write},
	{Path: "/dev/urandom", Access: sandbox.Read},
	{Path: "/dev/random", Access: sandbox.Read},
	{Path: "/dev/kvm", Access: sandbox.Write},
	{Path: "/dev/net/tun", Access: sandbox.Write},
}

// resolvConf says which resolvers the user-mode network's DNS asks.
const resolvConf = "/etc/resolv.conf"

// resolvers are the rules for resolvConf where it is a link: who manages it puts
// a new file in the target's place, and a rule for a file is for that one alone.
func resolvers() []sandbox.Rule {
	target, err := filepath.EvalSymlinks(resolvConf)
	if dir := filepath.Dir(target); err == nil && dir != filepath.Dir(resolvConf) {
		return []sandbox.Rule{{Path: dir, Access: sandbox.Read}}
	}
	return nil
}

// confine leaves this process, and what it starts itself from now on, the files
// of its VM and the programs. It returns what is missing as a sentence, "" for nothing.
func confine(l machine.Launch, writable, programs []string) (reduced string, err error) {
	// What needs a temporary directory gets the VM's.
	if err := os.Setenv("TMPDIR", l.Spec.Dir); err != nil {
		return "", fmt.Errorf("setting the temporary directory: %w", err)
	}
	err = sandbox.Confine(rulesFor(l, writable, programs))
	if errors.Is(err, sandbox.ErrUnavailable) {
		return "Its monitor and VMM may open all files of this user: this kernel has no Landlock.", nil
	}
	return "", err
}

// rulesFor are the files of a VM, of its programs and of the host's.
func rulesFor(l machine.Launch, writable, programs []string) []sandbox.Rule {
	rules := append([]sandbox.Rule{
		{Path: l.Spec.Dir, Access: sandbox.Write},
		{Path: l.Spec.Kernel, Access: sandbox.Read},
		{Path: l.Spec.Initramfs, Access: sandbox.Read},
	}, system...)
	rules = append(rules, resolvers()...)
	for _, dir := range writable {
		rules = append(rules, sandbox.Rule{Path: dir, Access: sandbox.Write})
	}
	for _, path := range programs {
		rules = append(rules, sandbox.Rule{Path: path, Access: sandbox.Exec})
	}
	for _, d := range l.Spec.Drives {
		if filepath.IsAbs(d.Path) {
			access := sandbox.Write
			if d.ReadOnly {
				access = sandbox.Read
			}
			rules = append(rules, sandbox.Rule{Path: d.Path, Access: access})
		}
		if d.Backing != "" {
			rules = append(rules, sandbox.Rule{Path: d.Backing, Access: sandbox.Read})
		}
	}
	return rules
}
