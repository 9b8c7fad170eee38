package residue

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// rig is a state directory, with a VM "web" that runs and "old" that does not.
type rig struct {
	t *testing.T
	Host
	known Known
}

func newRig(t *testing.T) *rig {
	t.Helper()
	dir := t.TempDir()
	r := &rig{t: t, known: Known{
		VMs:     map[string]VM{"aa11": {Name: "web", Runs: true, Made: true}, "bb22": {Name: "old", Made: true}},
		Images:  map[string]string{"i1": "debian"},
		Kernels: map[string]string{"k1": "debian"},
	}}
	r.Host = Host{
		StateDir: filepath.Join(dir, "state"), CacheDir: filepath.Join(dir, "cache[1]"), Socket: filepath.Join(dir, "run", "bangerd.sock"),
		UID: os.Geteuid(), Proc: "/proc", Now: time.Now,
		Listens: func(_ context.Context, path string) (bool, error) {
			c, err := net.Dial("unix", path)
			if err == nil {
				c.Close()
			}
			return err == nil, nil
		},
		Monitors: func(context.Context) ([]Service, error) { return nil, nil },
		Stop:     func(unit string) string { return "systemctl stop " + unit },
	}
	for _, d := range []string{
		r.StateDir + "/vms/aa11", r.StateDir + "/vms/bb22", r.StateDir + "/images/i1", r.StateDir + "/kernels/k1",
		r.StateDir + "/vms/lost+found", r.StateDir + "/images/lost+found", r.StateDir + "/vmm/firecracker/1.12.1", r.StateDir + "/ssh", filepath.Dir(r.Socket), r.CacheDir + "/images/0123", r.CacheDir + "/probe",
	} {
		r.mkdir(d)
	}
	if err := os.Symlink("k1", r.StateDir+"/kernels/default"); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{r.StateDir + "/lock", r.StateDir + "/banger.db", filepath.Dir(r.Socket) + "/start.lock", r.CacheDir + "/probe/kvm-1.json"} {
		r.write(f)
	}
	return r
}

func (r *rig) mkdir(path string) {
	r.t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) write(path string) {
	r.t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// find looks once, and returns "KIND WHAT" of each stray, sorted.
func (r *rig) find() []string {
	r.t.Helper()
	strays, err := find(r.t.Context(), r.Host, func(context.Context) (Known, error) { return r.known, nil })
	if err != nil {
		r.t.Fatal(err)
	}
	var found []string
	for _, s := range strays {
		if s.Why == "" || s.Command == "" {
			r.t.Errorf("%+v says too little", s)
		}
		found = append(found, s.Kind+" "+s.What)
	}
	slices.Sort(found)
	return found
}

func (r *rig) want(want ...string) {
	r.t.Helper()
	slices.Sort(want)
	if got := r.find(); !slices.Equal(got, want) {
		r.t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// process runs a program under any name until the test ends.
func (r *rig) process(dir string, lock *os.File, argv ...string) *exec.Cmd {
	r.t.Helper()
	script := filepath.Join(dir, argv[1])
	if err := os.WriteFile(script, []byte("read x\n"), 0o600); err != nil {
		r.t.Fatal(err)
	}
	cmd := &exec.Cmd{Path: "/bin/sh", Args: argv, Dir: dir}
	if lock != nil {
		cmd.ExtraFiles = []*os.File{lock}
	}
	in, out, err := os.Pipe()
	if err != nil {
		r.t.Fatal(err)
	}
	cmd.Stdin = in
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	in.Close()
	r.t.Cleanup(func() {
		out.Close()
		cmd.Wait()
	})
	await(r.t, cmd.Process.Pid, argv[0])
	return cmd
}

// await waits until a process has become the program that it is to be.
func await(t *testing.T, pid int, name string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		if err == nil && strings.HasPrefix(string(line), name+"\x00") {
			return
		}
	}
	t.Fatalf("process %d does not become %s", pid, name)
}

// lock makes a VMM's lock in dir, and holds it where that is wanted.
func (r *rig) lock(dir string, held bool) *os.File {
	r.t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil && held {
		err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { f.Close() })
	return f
}

func pid(c *exec.Cmd) string { return "process " + strconv.Itoa(c.Process.Pid) }

func TestClean(t *testing.T) { newRig(t).want() }

func TestProcesses(t *testing.T) {
	r := newRig(t)
	vms := r.vms()
	gone := filepath.Join(vms, "dead")
	r.mkdir(gone)
	// Those of a VM that runs are owned.
	r.process(vms+"/aa11", r.lock(vms+"/aa11", true), "qemu", "run")
	r.process(vms+"/aa11", nil, "bangerd", "monitor", "--name", "web", "--dir", vms+"/aa11")
	r.want("directory " + gone)
	// Those of one that does not run, or is no more, with its directory or not.
	idle := r.process(vms+"/bb22", r.lock(vms+"/bb22", true), "qemu", "run")
	vmm := r.process(gone, r.lock(gone, true), "firecracker: x", "run")
	monitor := r.process(gone, nil, "bangerd", "monitor", "--name", "x", "--dir", gone)
	r.want(pid(idle), pid(vmm), pid(monitor), "directory "+gone)
	if err := os.RemoveAll(gone); err != nil {
		t.Fatal(err)
	}
	r.want(pid(idle), pid(vmm), pid(monitor))
}

// What only looks like banger's is neither told nor touched.
func TestLookalikes(t *testing.T) {
	r := newRig(t)
	vms, elsewhere := r.vms(), t.TempDir()
	r.mkdir(elsewhere + "/banger-probe-1")
	r.mkdir(elsewhere + "/banger/vms/dead")
	r.mkdir(r.CacheDir + "/images/making-1") // somebody's, just now
	socket, err := net.Listen("unix", elsewhere+"/bangerd.sock")
	if err != nil {
		t.Fatal(err)
	}
	socket.(*net.UnixListener).SetUnlinkOnClose(false)
	socket.Close() // nobody listens on it
	r.write(elsewhere + "/vmm.lock")
	foreign := []*exec.Cmd{
		// A name, one in our directory too, and another's lock.
		r.process(elsewhere, nil, "qemu-system-x86_64", "run", "-name", "guest=dead,process=banger:dead"),
		r.process(vms+"/bb22", nil, "qemu-system-x86_64", "run", "-kernel", vms+"/bb22/vmlinux"),
		r.process(elsewhere, r.lock(elsewhere+"/banger/vms/dead", true), "firecracker: dead", "run"),
		// Our file, open and not locked.
		r.process(elsewhere, r.lock(vms+"/bb22", false), "less", "file"),
		// A command line like a monitor's.
		r.process(elsewhere, nil, "bangerd", "monitor", "--name", "dead", "--dir", vms+"/dead"),
		r.process(vms+"/bb22", nil, "vi", "monitor.log", "--dir", vms+"/bb22"),
	}
	r.Monitors = func(context.Context) ([]Service, error) {
		return []Service{{"banger-monitor-dead.service", elsewhere + "/banger/vms/dead"}, {"banger-monitor-aa11.service", vms + "/aa11"}}, nil
	}
	r.want()
	for _, c := range foreign {
		if err := c.Process.Signal(unix.Signal(0)); err != nil {
			t.Errorf("%v has ended: %v", c.Args, err)
		}
	}
	for _, path := range []string{"/banger-probe-1", "/banger/vms/dead", "/bangerd.sock", "/vmm.lock"} {
		if !there(elsewhere + path) {
			t.Errorf("%s is gone", path)
		}
	}
}

func TestFiles(t *testing.T) {
	r := newRig(t)
	vms, old := r.vms(), time.Now().Add(-2*abandoned)
	r.mkdir(vms + "/dead")
	r.write(vms + "/file")
	r.mkdir(r.StateDir + "/images/i9")
	r.mkdir(r.StateDir + "/images/.making-i8")
	r.mkdir(r.StateDir + "/kernels/.deleting-k8")
	r.mkdir(r.StateDir + "/vmm/firecracker/.installing-1")
	r.write(r.StateDir + "/banger.db.new")
	r.mkdir(r.StateDir + "/auth")
	r.write(r.StateDir + "/auth/v9.1.x")
	r.mkdir(r.CacheDir + "/images/making-old")
	r.mkdir(r.CacheDir + "/images/making-busy")
	r.write(r.CacheDir + "/probe/.kvm-old")
	for _, path := range []string{"/images/making-old", "/images/making-busy", "/probe/.kvm-old"} {
		if err := os.Chtimes(r.CacheDir+path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	r.write(r.CacheDir + "/images/making-busy/root.img") // written to just now
	if err := os.Chtimes(r.CacheDir+"/images/making-busy", old, old); err != nil {
		t.Fatal(err)
	}
	always := []string{
		"directory " + vms + "/dead", "file " + vms + "/file",
		"directory " + r.CacheDir + "/images/making-old", "file " + r.CacheDir + "/probe/.kvm-old",
	}
	r.want(append(always,
		"directory "+r.StateDir+"/images/i9", "directory "+r.StateDir+"/images/.making-i8", "directory "+r.StateDir+"/kernels/.deleting-k8",
		"directory "+r.StateDir+"/vmm/firecracker/.installing-1", "file "+r.StateDir+"/auth/v9.1.x", "file "+r.StateDir+"/banger.db.new")...)
	r.known.Busy = true // an operation may be making them
	r.want(always...)
}

// Of the sockets only the daemon's is looked at.
func TestSocket(t *testing.T) {
	r := newRig(t)
	beside := filepath.Join(filepath.Dir(r.Socket), "wayland-0")
	r.write(beside + ".lock")
	var daemon net.Listener
	for _, path := range []string{r.Socket, beside} {
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		if path == r.Socket {
			daemon = l
		} else {
			l.Close()
		}
	}
	r.want()
	daemon.Close()
	r.want("socket " + r.Socket)
	if err := os.Remove(r.Socket); err != nil {
		t.Fatal(err)
	}
	r.write(r.Socket)
	r.want()
}

func TestRecordsAndUnits(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"/vms/bb22", "/images/i1", "/kernels/k1"} {
		if err := os.RemoveAll(r.StateDir + path); err != nil {
			t.Fatal(err)
		}
	}
	r.known.VMs["cc33"] = VM{Name: "new"} // its files are being made
	r.Monitors = func(context.Context) ([]Service, error) {
		return []Service{{"banger-monitor-dead.service", r.vms() + "/dead"}, {"banger-monitor-bb22.service", r.vms() + "/bb22"}}, nil
	}
	r.want("record VM old", "record image debian", "record kernel debian", "unit banger-monitor-dead.service", "unit banger-monitor-bb22.service")
}

// The command removes what it is about, whatever its name.
func TestCommands(t *testing.T) {
	r := newRig(t)
	r.UID = 0 // no namespace is needed
	odd := r.vms() + "/it's; a $(name)"
	r.mkdir(odd + "/sub")
	strays, err := look{r.Host, r.known}.vmFiles(t.Context())
	if err != nil || len(strays) != 1 {
		t.Fatalf("%v, %v", strays, err)
	}
	if out, err := exec.Command("sh", "-c", strays[0].Command).CombinedOutput(); err != nil || len(out) > 0 || there(odd) {
		t.Errorf("%s: %s, %v", strays[0].Command, out, err)
	}
	r.UID = 1000
	if s := (look{r.Host, r.known}).remove("/c/making-1", true, ""); s.Command != "unshare --user --map-root-user --map-auto -- rm -rf /c/making-1" {
		t.Error(s.Command)
	}
}

// What passes is no residue, and what cannot be told is an error.
func TestFind(t *testing.T) {
	r := newRig(t)
	dead, passing := r.vms()+"/dead", r.vms()+"/passing"
	r.mkdir(dead)
	r.mkdir(passing)
	looks := 0
	strays, err := Find(t.Context(), r.Host, func(context.Context) (Known, error) {
		if looks++; looks == 2 {
			r.known.VMs["passing"] = VM{Name: "passing"}
		}
		return r.known, nil
	})
	if err != nil || looks != 2 || len(strays) != 1 || strays[0].What != dead {
		t.Errorf("%v, %v after %d looks", strays, err, looks)
	}
	if _, err := Find(t.Context(), r.Host, func(context.Context) (Known, error) { return Known{}, io.ErrUnexpectedEOF }); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

// Sure is only that with which nobody's work can be lost.
func TestSure(t *testing.T) {
	r := newRig(t)
	vms := r.vms()
	r.known.Unmade = map[string]bool{"cc33": true}
	for _, d := range []string{"/cc33", "/dd44", "/ee55"} {
		r.mkdir(vms + d)
	}
	r.mkdir(r.StateDir + "/images/.making-i8")
	idle := r.process(vms+"/bb22", r.lock(vms+"/bb22", true), "qemu", "run")    // of a VM that does not run
	unknown := r.process(vms+"/dd44", r.lock(vms+"/dd44", true), "qemu", "run") // of one without a record
	gone := r.process(vms+"/ee55", r.lock(vms+"/ee55", true), "qemu", "run")    // of one without anything
	r.find()                                                                    // by now each has opened its script
	time.Sleep(50 * time.Millisecond)
	if err := os.RemoveAll(vms + "/ee55"); err != nil {
		t.Fatal(err)
	}
	strays, err := find(t.Context(), r.Host, func(context.Context) (Known, error) { return r.known, nil })
	if err != nil {
		t.Fatal(err)
	}
	sure := map[string]bool{}
	for _, s := range strays {
		sure[s.What] = s.Sure
		if s.Kind == Process && strconv.Itoa(s.Process.PID) != s.What {
			t.Errorf("%+v", s)
		}
	}
	for what, want := range map[string]bool{
		strconv.Itoa(idle.Process.Pid): false, strconv.Itoa(unknown.Process.Pid): false, strconv.Itoa(gone.Process.Pid): true,
		vms + "/cc33": true, vms + "/dd44": false, r.StateDir + "/images/.making-i8": true,
	} {
		if got, found := sure[what]; !found || got != want {
			t.Errorf("%s: found %v, sure %v, want %v", what, found, got, want)
		}
	}
}
