package host

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/banger-vm/banger/internal/doctor"
	"github.com/banger-vm/banger/internal/fault"
)

// manager is a service manager with fixed answers.
type manager struct {
	err     error
	lingers bool
}

func (m manager) Version(context.Context) (string, error) { return "252", m.err }
func (m manager) Lingers(context.Context) (bool, error)   { return m.lingers, nil }

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

// healthy is a host on which all is well; a test breaks one thing in it.
func healthy() (Facts, fstest.MapFS) {
	root := fstest.MapFS{
		"proc/cpuinfo":                              file("processor : 0\nflags : fpu vmx sse\n"),
		"proc/meminfo":                              file("MemTotal: 9 kB\nMemAvailable:    8000000 kB\n"),
		"proc/self/ns/user":                         file(""),
		"proc/sys/user/max_user_namespaces":         file("63000\n"),
		"proc/sys/user/max_mnt_namespaces":          file("63000\n"),
		"proc/sys/fs/file-nr":                       file("1000\t0\t900000\n"),
		"sys/fs/cgroup/cgroup.controllers":          file("cpu"),
		"sys/kernel/security/lsm":                   file("capability,yama"),
		"dev/kvm":                                   {Sys: &syscall.Stat_t{Gid: 104}},
		"dev/net/tun":                               file(""),
		"etc/group":                                 file("root:x:0:\nkvm:x:104:ann,bob\n"),
		"run/user/1000":                             {Mode: fs.ModeDir | 0o700, Sys: &syscall.Stat_t{Uid: 1000}},
		"proc/sys/kernel/unprivileged_userns_clone": file("1\n"),
	}
	fine := func() string { return "" }
	none := func() error { return nil }
	return Facts{
		Root: root, UID: 1000, User: "ann", Getenv: func(string) string { return "/run/user/1000" },
		Groups:    func() ([]int, error) { return []int{1000, 104}, nil },
		Find:      func(string) error { return nil },
		Release:   func() (string, error) { return "6.1.0-40-amd64", nil },
		OpenFiles: func() (uint64, error) { return 1 << 20, nil }, ClockSynced: func() (bool, error) { return true, nil },
		Now: func() time.Time { return time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC) },
		KVM: fine, KVMGrant: func(user string) string { return "sudo usermod -aG kvm " + user }, TUN: fine, Landlock: none, Subordinates: none,
		Sources: func(context.Context) error { return nil }, Units: manager{lingers: true},
	}, root
}

func look(t *testing.T, f Facts) map[string]doctor.Finding {
	t.Helper()
	found := map[string]doctor.Finding{}
	for _, r := range doctor.Run(t.Context(), Checks(f)) {
		if _, twice := found[r.Name]; twice || r.Theme == "" {
			t.Errorf("%q is another check's name, or has no theme", r.Name)
		}
		found[r.Name] = r.Finding
	}
	return found
}

func TestHealthyHost(t *testing.T) {
	f, _ := healthy()
	for name, r := range look(t, f) {
		if r.State != doctor.OK || r.Found == "" || r.Fix != (doctor.Fix{}) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func missing(programs ...string) func(string) error {
	return func(p string) error {
		if slices.Contains(programs, p) {
			return errors.New("it is not installed")
		}
		return nil
	}
}

// breaks are ways to break a host, with the check that names each and the
// command that mends it.
var breaks = map[string]struct {
	breaks  func(f *Facts, root fstest.MapFS)
	state   doctor.State
	command string
}{
	"cpu": {func(_ *Facts, r fstest.MapFS) { r["proc/cpuinfo"] = file("flags : fpu\n"); delete(r, "dev/kvm") }, doctor.Warn, "systemctl reboot --firmware-setup"},
	"kvm": {func(f *Facts, r fstest.MapFS) {
		f.KVM = func() string { return "there is none" }
		delete(r, "dev/kvm")
	}, doctor.Warn, "sudo modprobe kvm_intel"},
	"kvm-group": {func(f *Facts, _ fstest.MapFS) { f.Groups = func() ([]int, error) { return []int{1000}, nil } }, doctor.Warn, "newgrp kvm"},
	"tun": {func(f *Facts, r fstest.MapFS) {
		f.TUN = func() string { return "there is none" }
		delete(r, "dev/net/tun")
	}, doctor.Warn, "sudo modprobe tun"},
	"landlock": {
		func(f *Facts, _ fstest.MapFS) { f.Landlock = func() error { return errors.New("there is none") } }, doctor.Warn,
		`printf 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX lsm=landlock,capability,yama"\n' | sudo tee /etc/default/grub.d/banger-landlock.cfg && sudo update-grub`,
	},
	"user-namespaces": {
		func(_ *Facts, r fstest.MapFS) { r["proc/sys/kernel/unprivileged_userns_clone"] = file("0\n") }, doctor.Fail,
		"echo kernel.unprivileged_userns_clone=1 | sudo tee /etc/sysctl.d/60-banger-kernel.unprivileged_userns_clone.conf && sudo sysctl kernel.unprivileged_userns_clone=1",
	},
	"namespace-limit": {
		func(_ *Facts, r fstest.MapFS) { r["proc/sys/user/max_mnt_namespaces"] = file("0\n") }, doctor.Fail,
		"echo user.max_mnt_namespaces=10000 | sudo tee /etc/sysctl.d/60-banger-user.max_mnt_namespaces.conf && sudo sysctl user.max_mnt_namespaces=10000",
	},
	"apparmor-namespaces": {
		func(_ *Facts, r fstest.MapFS) { r["proc/sys/kernel/apparmor_restrict_unprivileged_userns"] = file("1") }, doctor.Fail,
		"echo kernel.apparmor_restrict_unprivileged_userns=0 | sudo tee /etc/sysctl.d/60-banger-kernel.apparmor_restrict_unprivileged_userns.conf && sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0",
	},
	"cgroup-v2": {
		func(_ *Facts, r fstest.MapFS) { delete(r, "sys/fs/cgroup/cgroup.controllers") }, doctor.Warn,
		`printf 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX systemd.unified_cgroup_hierarchy=1"\n' | sudo tee /etc/default/grub.d/banger-cgroup.cfg && sudo update-grub`,
	},
	"kernel": {func(f *Facts, _ fstest.MapFS) { f.Release = func() (string, error) { return "5.4.0", nil } }, doctor.Fail, "sudo apt-get install -y linux-image-amd64"},
	"memory": {func(_ *Facts, r fstest.MapFS) { r["proc/meminfo"] = file("MemAvailable: 1000 kB\n") }, doctor.Warn, "banger stop $(banger ps -q)"},
	"open-files": {
		func(f *Facts, _ fstest.MapFS) { f.OpenFiles = func() (uint64, error) { return 1024, nil } }, doctor.Warn,
		"echo 'ann hard nofile 1048576' | sudo tee /etc/security/limits.d/banger.conf",
	},
	"file-handles": {
		func(_ *Facts, r fstest.MapFS) { r["proc/sys/fs/file-nr"] = file("990 0 1000") }, doctor.Warn,
		"echo fs.file-max=4000 | sudo tee /etc/sysctl.d/60-banger-files.conf && sudo sysctl fs.file-max=4000",
	},
	"clock":                {func(f *Facts, _ fstest.MapFS) { f.Now = func() time.Time { return time.Unix(0, 0) } }, doctor.Fail, "sudo timedatectl set-ntp true"},
	"runtime-dir-variable": {func(f *Facts, _ fstest.MapFS) { f.Getenv = func(string) string { return "" } }, doctor.Warn, "export XDG_RUNTIME_DIR=/run/user/$(id -u)"},
	"systemd":              {func(f *Facts, _ fstest.MapFS) { f.Units = manager{err: ErrNoUnits} }, doctor.Warn, "sudo loginctl enable-linger ann"},
	"linger":               {func(f *Facts, _ fstest.MapFS) { f.Units = manager{} }, doctor.Warn, "loginctl enable-linger"},
	"newuidmap":            {func(f *Facts, _ fstest.MapFS) { f.Find = missing("newgidmap") }, doctor.Fail, "sudo apt-get install -y uidmap"},
	"subordinate-ids": {func(f *Facts, _ fstest.MapFS) {
		f.Subordinates = func() error {
			return fault.New(fault.Precondition, "Give the user some with: sudo usermod --add-subuids 1-2 ann", "there are none")
		}
	}, doctor.Fail, "sudo usermod --add-subuids 1-2 ann"},
	"mke2fs":     {func(f *Facts, _ fstest.MapFS) { f.Find = missing("mke2fs") }, doctor.Fail, "sudo apt-get install -y e2fsprogs"},
	"e2fsck":     {func(f *Facts, _ fstest.MapFS) { f.Find = missing("e2fsck") }, doctor.Fail, "sudo apt-get install -y e2fsprogs"},
	"mmdebstrap": {func(f *Facts, _ fstest.MapFS) { f.Find = missing("mmdebstrap") }, doctor.Fail, "sudo apt-get install -y mmdebstrap"},
	"unshare":    {func(f *Facts, _ fstest.MapFS) { f.Find = missing("unshare") }, doctor.Fail, "sudo apt-get install -y util-linux"},
	"ssh":        {func(f *Facts, _ fstest.MapFS) { f.Find = missing("ssh") }, doctor.Warn, "sudo apt-get install -y openssh-client"},
	"package-sources": {func(f *Facts, _ fstest.MapFS) {
		f.Sources = func(context.Context) error {
			return fault.New(fault.Precondition, "Check /etc/apt/sources.list(.d), then sudo apt-get update.", "apt knows none")
		}
	}, doctor.Warn, "sudo apt-get update"},
}

// Each check can fail, and names the command that mends it; no break is blamed
// on a check that has nothing to do with it.
func TestBrokenHosts(t *testing.T) {
	f, _ := healthy()
	names := slices.Sorted(maps.Keys(look(t, f)))
	if broken := slices.Sorted(maps.Keys(breaks)); !slices.Equal(names, broken) {
		t.Fatalf("the checks are %v, broken are %v", names, broken)
	}
	related := map[string][]string{"cpu": {"kvm-group"}, "kvm": {"kvm-group"}, "systemd": {"linger"}}
	for name, b := range breaks {
		t.Run(name, func(t *testing.T) {
			f, root := healthy()
			b.breaks(&f, root)
			for other, r := range look(t, f) {
				switch {
				case other != name && r.State != doctor.OK && !slices.Contains(related[name], other):
					t.Errorf("%s is blamed: %+v", other, r)
				case other == name && (r.State != b.state || r.Fix.Command != b.command || r.Found == ""):
					t.Errorf("%+v\nwant %s and %s", r, b.state, b.command)
				}
			}
		})
	}
}

// What is only about ordinary users is not asked of root.
func TestRoot(t *testing.T) {
	f, root := healthy()
	f.UID, f.User = 0, "root"
	f.Getenv, f.Find = func(string) string { return "" }, missing("newuidmap")
	root["proc/sys/kernel/unprivileged_userns_clone"] = file("0")
	for name, r := range look(t, f) {
		if r.State != doctor.OK && r.State != doctor.Skip {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// Who may open the device although the group is not theirs, and who is to be
// added to it.
func TestKVMGroup(t *testing.T) {
	f, _ := healthy()
	f.User, f.Groups = "eve", func() ([]int, error) { return []int{1000}, nil }
	if r := f.kvmGroup(t.Context()); r.State != doctor.OK {
		t.Errorf("with an ACL: %+v", r)
	}
	f.KVM = func() string { return "this user may not open /dev/kvm" }
	const command = "sudo usermod -aG kvm eve"
	if r := f.kvmGroup(t.Context()); r.State != doctor.Warn || r.Fix.Command != command {
		t.Errorf("%+v", r)
	}
	if r := f.kvm(t.Context()); r.State != doctor.Warn || r.Fix.Command != command || !strings.Contains(r.Fix.Hint, "Log in again") {
		t.Errorf("%+v", r)
	}
}
