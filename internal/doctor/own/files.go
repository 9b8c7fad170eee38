package own

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/banger-vm/banger/internal/doctor"
	"github.com/banger-vm/banger/internal/places"
	"github.com/banger-vm/banger/internal/size"
)

func (f Facts) stateDir(context.Context) doctor.Finding   { return f.private(f.Places.StateDir) }
func (f Facts) runtimeDir(context.Context) doctor.Finding { return f.private(f.Places.RuntimeDir) }

// private wants a directory of this user's own, or one that can be made.
func (f Facts) private(dir string) doctor.Finding {
	err := f.Private(dir)
	name := doctor.Quote(dir)
	switch {
	case err == nil:
		return f.writable(dir)
	case errors.Is(err, fs.ErrNotExist):
		return f.makable(dir)
	case errors.Is(err, places.ErrOpen):
		return doctor.Bad(doctor.Fail, doctor.Fix{Command: "chmod go-w " + name, Safe: true}, "others may write to the directory %s, and so could take over VMs", dir)
	case errors.Is(err, places.ErrForeign):
		return doctor.Bad(doctor.Fail, f.own(dir), "%v", err)
	case errors.Is(err, places.ErrNotDir):
		return doctor.Bad(doctor.Fail, doctor.Fix{Command: "mv " + name + " " + doctor.Quote(dir+".old")}, "%v", err)
	}
	return doctor.Bad(doctor.Fail, unreached, "%v", err)
}

// unreached is for a directory that lies in one which this user may not enter.
var unreached = doctor.Fix{Hint: "Have the owner of the directory above it let you in, or choose another place with BANGER_STATE_DIR, BANGER_RUNTIME_DIR or BANGER_CACHE_DIR."}

// own gives a directory to the user, with all that is in it: only for banger's
// own ones, never for one above them, which is somebody's.
func (f Facts) own(dir string) doctor.Fix {
	return doctor.Fix{Command: "sudo chown -R " + f.User + ": " + doctor.Quote(dir)}
}

func (f Facts) writable(dir string) doctor.Finding {
	if err := f.Writable(dir); err != nil {
		fix := doctor.Fix{Command: "chmod u+rwx " + doctor.Quote(dir), Safe: true}
		if v, verr := f.Volume(dir); verr == nil && v.ReadOnly {
			fix = doctor.Fix{Command: "sudo mount -o remount,rw \"$(stat -c %m " + doctor.Quote(dir) + ")\""}
		}
		return doctor.Bad(doctor.Fail, fix, "the directory %s cannot be written to: %v", dir, err)
	}
	return doctor.Good("%s", dir)
}

// makable wants that a directory that is missing can be made.
func (f Facts) makable(dir string) doctor.Finding {
	above := existing(filepath.Dir(dir))
	if err := f.Writable(above); err != nil {
		name := doctor.Quote(dir)
		return doctor.Bad(doctor.Fail, doctor.Fix{Command: "sudo mkdir -p " + name + " && sudo chown " + f.User + ": " + name},
			"the directory %s is missing and cannot be made: %v", dir, err)
	}
	return doctor.Good("%s is made when it is needed", dir)
}

// existing is dir, or the nearest directory above it that is there.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

func (f Facts) cacheDir(context.Context) doctor.Finding {
	dir := f.Places.CacheDir
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f.makable(dir)
	case err != nil:
		return doctor.Bad(doctor.Fail, unreached, "%v", err)
	case !info.IsDir():
		return doctor.Bad(doctor.Fail, doctor.Fix{Command: "mv " + doctor.Quote(dir) + " " + doctor.Quote(dir+".old")}, "%s is not a directory", dir)
	}
	if err := f.Writable(dir); err != nil {
		return doctor.Bad(doctor.Fail, f.own(dir), "the cache %s cannot be written to: %v", dir, err)
	}
	return doctor.Good("%s", dir)
}

func (f Facts) tempDir(context.Context) doctor.Finding {
	if err := f.Writable(f.TempDir); err != nil {
		return doctor.Bad(doctor.Fail, doctor.Fix{Command: "export TMPDIR=/var/tmp", Hint: "Then: banger daemon stop. KVM is tried there."},
			"the directory %s for temporary files cannot be written to: %v", f.TempDir, err)
	}
	return doctor.Good("%s", f.TempDir)
}

// Below the first a VM's disk hardly grows and is paused soon; the second is
// what an image and a few packages take.
const (
	noRoom     = 64 << 20
	littleRoom = 3 << 30
)

func (f Facts) space(context.Context) doctor.Finding {
	dir := existing(f.Places.StateDir)
	v, err := f.Volume(dir)
	if err != nil {
		return doctor.Broken(doctor.Fail, err)
	}
	state := doctor.OK
	switch {
	case v.Free < noRoom:
		state = doctor.Fail
	case v.Free < littleRoom:
		state = doctor.Warn
	}
	if state != doctor.OK {
		return doctor.Bad(state, f.room(v), "too little room is left for VMs in %s: %s free", f.Places.StateDir, size.Format(v.Free))
	}
	return doctor.Good("%s are free", size.Format(v.Free))
}

// room makes some on a volume: what is cached goes first, if it lies there.
func (f Facts) room(v Volume) doctor.Fix {
	fix := doctor.Fix{Hint: "Make room there: banger ls and banger image ls show what can go, and banger prune removes what does not run."}
	images := filepath.Join(f.Places.CacheDir, "images")
	if c, err := f.Volume(images); err == nil && c.Device == v.Device {
		fix.Command = "rm -r " + doctor.Quote(images)
		fix.Hint = "The cache only saves time. To free more: banger ls and banger image ls show what can go, and banger prune removes what does not run."
	}
	return fix
}

// poor are file systems on which VMs' disks fare badly, and why; those that
// cannot hold them at all have no holes in files, so that a VM's disks would
// take all of their size.
var poor = map[string]struct {
	why   string
	state doctor.State
}{
	"vfat":  {"has no sparse files", doctor.Fail},
	"exfat": {"has no sparse files", doctor.Fail},
	"tmpfs": {"is memory, and empty after a reboot", doctor.Warn},
	"ramfs": {"is memory, and empty after a reboot", doctor.Warn},
	"nfs":   {"is another machine's, whose locks may get lost", doctor.Warn},
	"smb":   {"is another machine's, whose locks may get lost", doctor.Warn},
}

func (f Facts) fileSystem(context.Context) doctor.Finding {
	v, err := f.Volume(existing(f.Places.StateDir))
	if err != nil {
		return doctor.Broken(doctor.Fail, err)
	}
	if p, ok := poor[v.Kind]; ok {
		return doctor.Bad(p.state, doctor.Fix{Command: "export BANGER_STATE_DIR=/var/tmp/banger-$(id -u)", Hint: "Or another directory on a local disk."},
			"VMs are kept on %s, which %s", v.Kind, p.why)
	}
	return doctor.Good("VMs are kept on %s", v.Kind)
}

func (f Facts) socketPath(context.Context) doctor.Finding {
	if f.LongSocket(f.Places.Socket) {
		return doctor.Bad(doctor.Warn, doctor.Fix{
			Command: "export BANGER_SOCKET=/run/user/$(id -u)/banger/bangerd.sock",
			Hint:    "It matters to other programs only, not to banger.",
		}, "the path of the daemon's socket has %d bytes, more than most programs can connect to", len(f.Places.Socket))
	}
	return doctor.Good("%s", f.Places.Socket)
}
