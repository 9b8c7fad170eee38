package firecracker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/vmm/firecracker/wire"
	"github.com/banger-vm/banger/internal/vmm/rundir"
)

// pipes are the FIFOs in dirRun. The VMM holds both ends of each: so it never
// waits for a reader, never loses one, and the next monitor finds them.
var pipes = []string{fileIn, fileOut, fileLog}

// consoleRoom is how much of the console waits for a reader; what comes then
// is lost. A user's pipes together may hold 64 MiB.
const consoleRoom = 256 << 10

// makeRunDir makes the VMM's directory and its pipes where they are missing.
func makeRunDir(dir string) error {
	for _, name := range []string{dirRun, dirRoot} {
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("making the VMM's directory: %w", err)
		}
		if info, err := os.Lstat(path); err != nil || !info.IsDir() {
			return errors.Join(fmt.Errorf("%s is not a directory", path), err)
		}
	}
	for _, name := range pipes {
		if err := unix.Mkfifo(filepath.Join(dir, dirRun, name), 0o600); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("making the VMM's pipe %s: %w", name, err)
		}
	}
	return nil
}

// clearRunDir takes out what an older VMM left. The pipes stay: a process that
// has confined itself can make none.
func clearRunDir(dir string) error {
	run := filepath.Join(dir, dirRun)
	entries, err := os.ReadDir(run)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking into the VMM's directory: %w", err)
	}
	for _, e := range entries {
		if slices.Contains(pipes, e.Name()) && e.Type() == fs.ModeNamedPipe {
			continue
		}
		if err := os.RemoveAll(filepath.Join(run, e.Name())); err != nil {
			return fmt.Errorf("removing what an older VMM left: %w", err)
		}
	}
	return nil
}

// openPipe opens a FIFO of dirRun, and nothing that was put in its place.
// It never waits for the other end.
func openPipe(dir, name string, flags int) (*os.File, error) {
	return openRun(dir, name, flags|unix.O_NONBLOCK, unix.S_IFIFO)
}

// openRun opens a file of dirRun that is of the given type.
func openRun(dir, name string, flags int, format uint32) (*os.File, error) {
	path := filepath.Join(dir, dirRun, name)
	// os.OpenFile would make a file that it hands over a blocking one.
	fd, err := unix.Open(path, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the VMM's %s: %w", name, err)
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != format {
		err = errors.New("another kind of file lies in its place")
	}
	if err != nil {
		_ = unix.Close(fd) // err is what the caller must know
		return nil, fmt.Errorf("opening the VMM's %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// inherited are the files that a VMM gets, and what we hold until it runs.
type inherited struct {
	lock         *os.File
	in, out, log *os.File // both ends of each
	stderr       *os.File
	logEnd       *os.File // ours
	wire         *os.File // where the wire of the network card is passed over, nil without one
	wireEnd      *os.File // ours
}

// extra are those besides the standard ones, from fdLock on.
func (f *inherited) extra() []*os.File {
	if f.wire == nil {
		return []*os.File{f.lock}
	}
	return []*os.File{f.lock, f.wire}
}

// openFiles locks the directory and lays out what the VMM inherits. Left-overs
// are removed under the lock, so they are nobody's.
func openFiles(dir string, card bool) (_ *inherited, err error) {
	f := &inherited{}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	if f.lock, err = rundir.TakeLock(dir); err != nil {
		return nil, err
	}
	if err := errors.Join(clearRunDir(dir), makeRunDir(dir), removeOld(dir)); err != nil {
		return nil, err
	}
	metrics, err := openRun(dir, fileMetrics, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, unix.S_IFREG)
	if err != nil {
		return nil, err
	}
	defer metrics.Close()
	// The log of the boot before stays: a guest's reboot may have been no wish.
	log := filepath.Join(dir, rundir.LogFile)
	if err := os.Rename(log, log+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("keeping the older log of Firecracker: %w", err)
	}
	const flags = os.O_RDWR | os.O_CREATE | os.O_TRUNC | os.O_APPEND
	if f.stderr, err = os.OpenFile(log, flags, 0o600); err != nil {
		return nil, fmt.Errorf("making Firecracker's log: %w", err)
	}
	for name, file := range map[string]**os.File{fileIn: &f.in, fileOut: &f.out, fileLog: &f.log} {
		if *file, err = openPipe(dir, name, unix.O_RDWR); err != nil {
			return nil, err
		}
	}
	// Less room where the user has many pipes is no fault.
	_, _ = unix.FcntlInt(f.out.Fd(), unix.F_SETPIPE_SZ, consoleRoom)
	if f.logEnd, err = openPipe(dir, fileLog, unix.O_RDONLY); err == nil && card {
		f.wireEnd, f.wire, err = wire.Pair()
	}
	return f, err
}

// removeOld removes the records of an older VMM.
func removeOld(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("opening the VM's directory: %w", err)
	}
	defer d.Close()
	return rundir.Remove(d, rundir.RecordFile, fileTotals)
}

// close lets go of what is left; the VMM's copies stay.
func (f *inherited) close() {
	for _, file := range []*os.File{f.lock, f.in, f.out, f.log, f.stderr, f.logEnd, f.wire, f.wireEnd} {
		if file != nil {
			_ = file.Close() // nothing was written through it
		}
	}
	*f = inherited{}
}

// cleanUp removes what a failed start left.
func cleanUp(dir string) error {
	return errors.Join(os.RemoveAll(filepath.Join(dir, dirRun, fileAPI)),
		os.RemoveAll(filepath.Join(dir, dirRun, fileVsock)), os.RemoveAll(filepath.Join(dir, dirRun, fileBell)), removeOld(dir))
}
