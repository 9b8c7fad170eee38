package own

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/doctor/host"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/places"
)

// This is what this process has at p, as far as the kernel tells of it; the
// facts that other packages find out are left to be filled in.
func This(p places.Places) Facts {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "/" // there is no ~/.ssh/config then
	}
	return Facts{
		Places: p, User: host.UserName(), Home: home, TempDir: os.TempDir(), Private: places.CheckPrivate,
		Writable: func(dir string) error { return unix.Access(dir, unix.W_OK|unix.X_OK) },
	}
}

// LockedBy is the process that has the state directory, as it wrote itself; 0
// where nobody has it. It asks the kernel and tries no lock, which a daemon that
// starts just then would take for another's.
func LockedBy(dir string) int {
	f, err := os.Open(filepath.Join(dir, "lock"))
	if err != nil {
		return 0
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 16))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	file, err := f.Stat()
	if err != nil || !hostexec.HoldsLock(pid, file, hostexec.LockFlock) {
		return 0
	}
	return pid
}
