// Package own has the checks of what is banger's own: its directories, its
// configuration, its database, its daemon, and what it gives to OpenSSH.
package own

import (
	"context"

	"github.com/banger-vm/banger/internal/doctor"
	"github.com/banger-vm/banger/internal/places"
)

// Facts are how banger's own things are looked at.
type Facts struct {
	Places  places.Places
	User    string
	Home    string
	TempDir string
	Version string // of this bangerd
	CLI     string // of the banger that asks; "" where that is not known

	// Private refuses a directory that is not this user's alone to write to.
	Private func(dir string) error
	// Writable is an error where this user may not write to a directory.
	Writable func(dir string) error
	Volume   func(path string) (Volume, error)
	// LongSocket reports a path that some programs cannot reach a socket by.
	LongSocket func(path string) bool
	// Settings is an error where the configuration is not understood.
	Settings func() error
	// Database is fs.ErrNotExist until there is one.
	Database func(ctx context.Context) (Database, error)
	// Damaged reports whether an error of Database means that it is lost.
	Damaged func(err error) bool
	Daemon  func(ctx context.Context) Daemon
	// Agent is an error where the guest's program is missing.
	Agent func() error
	// DiskDrivers are all, each with why it does not work on the file system of
	// dir; DiskDriver is that of a VM which asks for none.
	DiskDrivers func(ctx context.Context, dir string) map[string]error
	DiskDriver  string
	// Strays counts what is left over on the host.
	Strays func(ctx context.Context) (int, error)
}

// Volume is a mounted file system.
type Volume struct {
	Kind     string // for people: ext4, tmpfs
	Free     int64  // bytes that this user may still write
	Device   uint64 // the same for all paths on it
	ReadOnly bool
}

// Database is what banger remembers.
type Database struct {
	Version, Newest int // of the file, and the newest that this bangerd knows
	Images, Kernels int // known where both are the same
}

// Daemon is the daemon as it is found.
type Daemon struct {
	Version string // "" where none answers
	PID     int    // of who has the state directory; 0 where nobody has
	Err     error  // of one that listens and does not answer as it should
}

const (
	themeFiles  = "banger's files"
	themeDaemon = "banger's daemon"
	themeReady  = "Ready for VMs"
)

// Checks are all of this package's.
func Checks(f Facts) []doctor.Check {
	return []doctor.Check{
		{Name: "state-dir", Theme: themeFiles, Look: f.stateDir},
		{Name: "runtime-dir", Theme: themeFiles, Look: f.runtimeDir},
		{Name: "cache-dir", Theme: themeFiles, Look: f.cacheDir},
		{Name: "temp-dir", Theme: themeFiles, Look: f.tempDir},
		{Name: "disk-space", Theme: themeFiles, Preflight: true, Look: f.space},
		{Name: "file-system", Theme: themeFiles, Preflight: true, Look: f.fileSystem},
		{Name: "disk-drivers", Theme: themeFiles, Look: f.disks},
		{Name: "socket-path", Theme: themeFiles, Look: f.socketPath},

		{Name: "config", Theme: themeDaemon, Look: f.config},
		{Name: "database", Theme: themeDaemon, Look: f.database},
		{Name: "daemon", Theme: themeDaemon, Look: f.daemon},
		{Name: "daemon-version", Theme: themeDaemon, Look: f.daemonVersion},
		{Name: "programs-version", Theme: themeDaemon, Look: f.programsVersion},
		{Name: "guest-program", Theme: themeDaemon, Look: f.agent},
		{Name: "residue", Theme: themeDaemon, Look: f.residue},

		{Name: "image", Theme: themeReady, Look: f.image},
		{Name: "guest-kernel", Theme: themeReady, Look: f.kernel},
		{Name: "ssh-key", Theme: themeReady, Look: f.sshKey},
		{Name: "ssh-config", Theme: themeReady, Look: f.sshConfig},
	}
}
