package own

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/banger-vm/banger/internal/doctor"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/places"
)

// write writes a file and makes its directory.
func write(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}

// healthy is a banger with which all is well; a test breaks one thing.
func healthy(t *testing.T) Facts {
	t.Helper()
	dir := t.TempDir()
	p := places.Places{
		StateDir: filepath.Join(dir, "state"), RuntimeDir: filepath.Join(dir, "run"), Socket: filepath.Join(dir, "run", "bangerd.sock"),
		CacheDir: filepath.Join(dir, "cache"), ConfigFile: filepath.Join(dir, "config.toml"),
	}
	write(t, filepath.Join(p.StateDir, "ssh", "id_ed25519"), "key", 0o600)
	write(t, filepath.Join(dir, ".ssh", "config"), "Host x\nInclude \""+filepath.Join(p.StateDir, "ssh", "config")+"\"\n", 0o600)
	if err := errors.Join(os.Mkdir(p.RuntimeDir, 0o700), os.Mkdir(p.CacheDir, 0o700)); err != nil {
		t.Fatal(err)
	}
	return Facts{
		Places: p, User: "ann", Home: dir, TempDir: dir, Version: "1.2", CLI: "1.2",
		Private: places.CheckPrivate, Writable: func(string) error { return nil },
		Volume:     func(string) (Volume, error) { return Volume{Kind: "ext4", Free: 100 << 30}, nil },
		LongSocket: func(string) bool { return false },
		Settings:   func() error { return nil }, Agent: func() error { return nil },
		Database: func(context.Context) (Database, error) { return Database{3, 3, 1, 1}, nil },
		Daemon:   func(context.Context) Daemon { return Daemon{Version: "1.2", PID: 7} },
		Damaged:  func(error) bool { return false },
		Strays:   func(context.Context) (int, error) { return 0, nil },

		DiskDriver: "guestcow",
		DiskDrivers: func(context.Context, string) map[string]error {
			return map[string]error{"guestcow": nil, "copy": nil, "reflink": errBroken}
		},
	}
}

func look(t *testing.T, f Facts) map[string]doctor.Finding {
	t.Helper()
	found := map[string]doctor.Finding{}
	for _, r := range doctor.Run(t.Context(), Checks(f)) {
		found[r.Name] = r.Finding
	}
	return found
}

func TestHealthy(t *testing.T) {
	for name, r := range look(t, healthy(t)) {
		if r.State != doctor.OK || r.Found == "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// Nothing is made yet, and nothing is wrong with that.
func TestNew(t *testing.T) {
	f := healthy(t)
	for _, dir := range []string{f.Places.StateDir, f.Places.RuntimeDir, f.Places.CacheDir} {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	f.Database = func(context.Context) (Database, error) { return Database{}, fs.ErrNotExist }
	f.Daemon = func(context.Context) Daemon { return Daemon{} }
	want := map[string]doctor.State{"daemon-version": doctor.Skip, "image": doctor.Warn, "guest-kernel": doctor.Warn}
	for name, r := range look(t, f) {
		if w := want[name]; r.State != w && (w != "" || r.State != doctor.OK) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

var errBroken = errors.New("it is broken")

// breaks are ways to break banger, with the check that names each and the
// command that mends it; STATE, RUN, CACHE and DIR stand for the places.
var breaks = map[string]struct {
	breaks  func(t *testing.T, f *Facts)
	state   doctor.State
	command string
	safe    bool
}{
	"state-dir": {func(t *testing.T, f *Facts) {
		if err := os.Chmod(f.Places.StateDir, 0o777); err != nil {
			t.Fatal(err)
		}
	}, doctor.Fail, "chmod go-w STATE", true},
	"runtime-dir": {func(t *testing.T, f *Facts) {
		if err := os.Remove(f.Places.RuntimeDir); err != nil {
			t.Fatal(err)
		}
		write(t, f.Places.RuntimeDir, "", 0o600)
	}, doctor.Fail, "mv RUN RUN.old", false},
	"cache-dir": {func(_ *testing.T, f *Facts) {
		f.Writable = func(dir string) error { return map[string]error{f.Places.CacheDir: errBroken}[dir] }
	}, doctor.Fail, "sudo chown -R ann: CACHE", false},
	"temp-dir": {func(_ *testing.T, f *Facts) {
		f.Writable = func(dir string) error { return map[string]error{f.TempDir: errBroken}[dir] }
	}, doctor.Fail, "export TMPDIR=/var/tmp", false},
	"disk-space": {func(_ *testing.T, f *Facts) {
		f.Volume = func(string) (Volume, error) { return Volume{Kind: "ext4", Free: 1 << 20}, nil }
	}, doctor.Fail, "rm -r CACHE/images", false},
	"file-system": {func(_ *testing.T, f *Facts) {
		f.Volume = func(string) (Volume, error) { return Volume{Kind: "vfat", Free: 100 << 30}, nil }
	}, doctor.Fail, "export BANGER_STATE_DIR=/var/tmp/banger-$(id -u)", false},
	"disk-drivers": {func(_ *testing.T, f *Facts) { f.DiskDriver = "reflink" }, doctor.Fail, "${EDITOR:-vi} DIR/config.toml", false},
	"socket-path":  {func(_ *testing.T, f *Facts) { f.LongSocket = func(string) bool { return true } }, doctor.Warn, "export BANGER_SOCKET=/run/user/$(id -u)/banger/bangerd.sock", false},
	"config":       {func(_ *testing.T, f *Facts) { f.Settings = func() error { return errBroken } }, doctor.Fail, "${EDITOR:-vi} DIR/config.toml", false},
	"database": {func(_ *testing.T, f *Facts) {
		f.Database = func(context.Context) (Database, error) {
			return Database{}, fault.New(fault.Precondition, "Put back a copy of it.", "it is damaged")
		}
		f.Damaged = func(error) bool { return true }
	}, doctor.Fail, "for of in '' -wal -shm; do [ ! -e STATE/banger.db$of ] || mv STATE/banger.db$of STATE/banger.db.damaged$of; done", false},
	"daemon": {func(_ *testing.T, f *Facts) {
		f.Daemon = func(context.Context) Daemon { return Daemon{PID: 7, Err: errBroken} }
	}, doctor.Fail, "kill -9 7", false},
	"daemon-version": {func(_ *testing.T, f *Facts) {
		f.Daemon = func(context.Context) Daemon { return Daemon{PID: 7, Version: "1.1"} }
	}, doctor.Warn, "banger daemon stop", true},
	"programs-version": {func(_ *testing.T, f *Facts) { f.CLI = "1.1" }, doctor.Warn, "make install", false},
	"guest-program":    {func(_ *testing.T, f *Facts) { f.Agent = func() error { return errBroken } }, doctor.Fail, "make install", false},
	"residue":          {func(_ *testing.T, f *Facts) { f.Strays = func(context.Context) (int, error) { return 2, nil } }, doctor.Warn, "banger doctor --residue", false},
	"image": {func(_ *testing.T, f *Facts) {
		f.Database = func(context.Context) (Database, error) { return Database{3, 3, 0, 1}, nil }
	}, doctor.Warn, "banger image bootstrap", false},
	"guest-kernel": {func(_ *testing.T, f *Facts) {
		f.Database = func(context.Context) (Database, error) { return Database{3, 3, 1, 0}, nil }
	}, doctor.Warn, "banger run --rm debian -- true", false},
	"ssh-key": {func(t *testing.T, f *Facts) {
		write(t, filepath.Join(f.Places.StateDir, "ssh", "id_ed25519"), "key", 0o644)
	}, doctor.Fail, "chmod 600 STATE/ssh/id_ed25519", true},
	"ssh-config": {func(t *testing.T, f *Facts) {
		write(t, filepath.Join(f.Home, ".ssh", "config"), "Include other\n", 0o600)
	}, doctor.Warn, "banger ssh-config --install", false},
}

// Each check can fail, and names the command that mends it; no break is blamed
// on a check that has nothing to do with it.
func TestBroken(t *testing.T) {
	names := slices.Sorted(maps.Keys(look(t, healthy(t))))
	if broken := slices.Sorted(maps.Keys(breaks)); !slices.Equal(names, broken) {
		t.Fatalf("the checks are %v, broken are %v", names, broken)
	}
	related := map[string][]string{"database": {"image", "guest-kernel"}, "daemon": {"daemon-version"}}
	for name, b := range breaks {
		t.Run(name, func(t *testing.T) {
			f := healthy(t)
			b.breaks(t, &f)
			dir := filepath.Dir(f.Places.StateDir)
			command := strings.NewReplacer("STATE", f.Places.StateDir, "RUN", f.Places.RuntimeDir, "CACHE", f.Places.CacheDir, "DIR", dir)
			if strings.HasPrefix(b.command, "export ") {
				command = strings.NewReplacer()
			}
			for other, r := range look(t, f) {
				switch {
				case other != name && r.State != doctor.OK && !slices.Contains(related[name], other):
					t.Errorf("%s is blamed: %+v", other, r)
				case other == name && (r.State != b.state || r.Fix.Command != command.Replace(b.command) || r.Fix.Safe != b.safe || r.Found == ""):
					t.Errorf("%+v\nwant %s and %s", r, b.state, command.Replace(b.command))
				}
			}
		})
	}
}

// What else can be wrong with a directory.
func TestDirectories(t *testing.T) {
	f := healthy(t)
	dir := f.Places.StateDir
	f.Private = func(string) error { return places.ErrForeign }
	if r := f.stateDir(t.Context()); r.State != doctor.Fail || r.Fix.Command != "sudo chown -R ann: "+dir || r.Fix.Safe {
		t.Errorf("another's: %+v", r)
	}
	// What lies above is never given away.
	f.Private = func(string) error { return fs.ErrPermission }
	if r := f.stateDir(t.Context()); r.State != doctor.Fail || r.Fix.Command != "" || r.Fix.Hint == "" {
		t.Errorf("in another's: %+v", r)
	}
	f.Private, f.Writable = places.CheckPrivate, func(string) error { return errBroken }
	if r := f.stateDir(t.Context()); r.State != doctor.Fail || r.Fix.Command != "chmod u+rwx "+dir {
		t.Errorf("not writable: %+v", r)
	}
	f.Volume = func(string) (Volume, error) { return Volume{Kind: "ext4", ReadOnly: true}, nil }
	if r := f.stateDir(t.Context()); r.State != doctor.Fail || !strings.Contains(r.Fix.Command, "remount,rw") {
		t.Errorf("on a read-only file system: %+v", r)
	}
	f.Places.StateDir = filepath.Join(dir, "it's", "not there")
	if r := f.stateDir(t.Context()); r.State != doctor.Fail || !strings.Contains(r.Fix.Command, `it'\''s/not there' && sudo chown ann: '`) {
		t.Errorf("not to be made: %+v", r)
	}
}

// A database that is only not to be read is not moved away.
func TestDatabase(t *testing.T) {
	f := healthy(t)
	for command, err := range map[string]error{"chmod u+rw " + f.Places.StateDir + "/banger.db": fs.ErrPermission, "": errBroken} {
		f.Database = func(context.Context) (Database, error) { return Database{}, err }
		if r := f.database(t.Context()); r.State != doctor.Fail || r.Fix.Command != command {
			t.Errorf("%v: %+v", err, r)
		}
	}
	for state, version := range map[doctor.State]int{doctor.OK: 2, doctor.Fail: 4} {
		f.Database = func(context.Context) (Database, error) { return Database{Version: version, Newest: 3}, nil }
		if r := f.database(t.Context()); r.State != state {
			t.Errorf("version %d: %+v", version, r)
		}
		if r := f.image(t.Context()); r.State != doctor.Skip {
			t.Errorf("version %d: %+v", version, r)
		}
	}
}

// Which disk drivers work is told; one that does not exist is named.
func TestDisks(t *testing.T) {
	f := healthy(t)
	if r := f.disks(t.Context()); r.State != doctor.OK || r.Found != "copy, guestcow work here; reflink: it is broken" {
		t.Errorf("%+v", r)
	}
	f.DiskDriver = "floppy"
	if r := f.disks(t.Context()); r.State != doctor.Fail || !strings.Contains(r.Found, `"floppy"`) {
		t.Errorf("%+v", r)
	}
}

// A cache that lies elsewhere makes no room for VMs.
func TestRoom(t *testing.T) {
	f := healthy(t)
	f.Volume = func(path string) (Volume, error) {
		if strings.HasPrefix(path, f.Places.CacheDir) {
			return Volume{Kind: "ext4", Free: 1 << 40, Device: 2}, nil
		}
		return Volume{Kind: "ext4", Device: 1}, nil
	}
	if r := f.space(t.Context()); r.State != doctor.Fail || r.Fix.Command != "" || !strings.Contains(r.Fix.Hint, "banger prune") {
		t.Errorf("%+v", r)
	}
}

// The daemon in all the ways in which it may be found.
func TestDaemon(t *testing.T) {
	for command, d := range map[string]Daemon{
		"":                 {},
		"kill -9 9":        {PID: 9}, // it has the state, and does not listen
		"rm -f /run/b.sck": {Err: errBroken},
	} {
		f := healthy(t)
		f.Places.Socket = "/run/b.sck"
		f.Daemon = func(context.Context) Daemon { return d }
		if r := f.daemon(t.Context()); r.Fix.Command != command || (r.State == doctor.OK) != (command == "") {
			t.Errorf("%+v: %+v", d, r)
		}
	}
}

// Who has the state directory is told without being in anybody's way.
func TestLockedBy(t *testing.T) {
	dir := t.TempDir()
	if pid := LockedBy(dir); pid != 0 {
		t.Errorf("there is no lock: %d", pid)
	}
	write(t, filepath.Join(dir, "lock"), strconv.Itoa(os.Getpid())+"\n", 0o600)
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if pid := LockedBy(dir); pid != 0 { // it is open only
		t.Errorf("nobody has it: %d", pid)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	if pid := LockedBy(dir); pid != os.Getpid() {
		t.Errorf("this process has it: %d", pid)
	}
}

func TestVolumeAt(t *testing.T) {
	v, err := VolumeAt("/proc", 5)
	if err != nil || v.Kind != "a file system of type 0x9fa0" || v.Free != 5 {
		t.Errorf("%+v, %v", v, err)
	}
	if root, err := VolumeAt("/", 0); err != nil || root.Device == v.Device {
		t.Errorf("%+v, %v: as %+v", root, err, v)
	}
	if _, err := VolumeAt(filepath.Join(t.TempDir(), "none"), 0); err == nil {
		t.Error("one that is not there was looked at")
	}
}
