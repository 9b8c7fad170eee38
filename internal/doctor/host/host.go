// Package host has the checks of what the host must offer: virtualisation,
// isolation, the rights of the user, and the programs that banger runs.
package host

import (
	"io/fs"
	"strings"
	"time"

	"github.com/banger-vm/banger/internal/doctor"
)

// Facts are how the host is looked at.
type Facts struct {
	Root   fs.FS  // the host's file system
	UID    int    // whom banger runs as
	User   string // the same as a name
	Getenv func(string) string
	// Groups are this process's.
	Groups func() ([]int, error)
	// Find looks for a program as banger does; an error is that it is missing.
	Find func(program string) error
	// Release is the kernel's, as uname -r has it.
	Release func() (string, error)
	// OpenFiles is how many files a process may be allowed to have open.
	OpenFiles func() (uint64, error)
	// ClockSynced reports whether the kernel's clock is kept in time.
	ClockSynced func() (bool, error)
	Now         func() time.Time

	// KVM and TUN say why the devices cannot be opened, "" if they can.
	KVM, TUN func() string
	// KVMGrant is the command that lets a user open /dev/kvm.
	KVMGrant func(user string) string
	// Landlock is an error where the kernel has none.
	Landlock func() error
	// Subordinates is an error where the user has too few subordinate IDs.
	Subordinates func() error
	// Sources is an error where no package source for an image is known.
	Sources Source
	// Units is the service manager.
	Units Units
}

// The themes of these checks.
const (
	themeVirtual   = "Virtualisation"
	themeIsolation = "Isolation"
	themeUser      = "User and session"
	themePrograms  = "Programs"
	themeSystem    = "System"
)

// Checks are all of this package's.
func Checks(f Facts) []doctor.Check {
	var all []doctor.Check
	for _, some := range [][]doctor.Check{virtual(f), isolation(f), system(f), session(f), programs(f)} {
		all = append(all, some...)
	}
	return all
}

// line is the content of a file of one line; "" where it cannot be read.
func (f Facts) line(path string) string {
	text, err := fs.ReadFile(f.Root, path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

func (f Facts) there(path string) bool {
	_, err := fs.Stat(f.Root, path)
	return err == nil
}

// notRoot skips a check that is only about ordinary users.
func (f Facts) notRoot() (doctor.Finding, bool) {
	return doctor.Skipped("root needs none"), f.UID == 0
}

// install is the command that installs a Debian package.
func install(pkg string) doctor.Fix {
	return doctor.Fix{Command: "sudo apt-get install -y " + pkg}
}

// kernelArgument has the boot loader give the kernel an argument.
func kernelArgument(name, argument string) doctor.Fix {
	return doctor.Fix{
		Command: `printf 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX ` + argument + `"\n' | sudo tee /etc/default/grub.d/banger-` + name + `.cfg && sudo update-grub`,
		Hint:    "It counts from the next boot on.",
	}
}
