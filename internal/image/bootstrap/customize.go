package bootstrap

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// File is a file that the image gets.
type File struct {
	Path string // relative to the root
	Mode fs.FileMode
	Body string
}

// files make a Debian tree a guest: its identity comes from the agent before
// init runs, its disks are mounted by then, its console is ours to log.
func files(r recipe) []File {
	return append([]File{
		{"etc/apt/sources.list", 0o644, r.sourcesList()},
		{"etc/default/locale", 0o644, "LANG=C.UTF-8\n"},
		{"etc/fstab", 0o644, "# The root, the home of " + userName + " and /lib/modules are mounted before init starts.\n"},
		{"etc/hosts", 0o644, "127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost ip6-loopback\n"},
		{"etc/machine-id", 0o444, ""},
		{"etc/sudoers.d/banger", 0o440, userName + " ALL=(ALL:ALL) NOPASSWD: ALL\n"},
		{"etc/systemd/network/80-banger.network", 0o644, "[Match]\nName=en* eth*\n\n[Network]\nDHCP=yes\n\n[DHCPv4]\nClientIdentifier=mac\nUseHostname=no\n"},
		{"etc/systemd/system/systemd-networkd-wait-online.service.d/banger.conf", 0o644, "# A VM may have no network at all.\n[Service]\nExecStart=\nExecStart=/lib/systemd/systemd-networkd-wait-online --any --timeout=10\n"},
		{"etc/systemd/system/ssh.service.d/banger.conf", 0o644, "# The host keys come with the VM's identity.\n[Unit]\nConditionPathExistsGlob=/etc/ssh/ssh_host_*_key\n"},
		{"etc/systemd/journald.conf.d/banger.conf", 0o644, "[Journal]\nSystemMaxUse=64M\n"},
		{"etc/systemd/logind.conf.d/banger.conf", 0o644, "[Login]\nNAutoVTs=0\nReserveVT=0\n"},
	}, r.variant.Files...)
}

// masked are units that are no use in a VM, or that only slow its boot.
var masked = []string{
	"apt-daily.service", "apt-daily.timer", "apt-daily-upgrade.service", "apt-daily-upgrade.timer",
	"dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer",
	"getty@.service", "serial-getty@.service", "console-getty.service",
	"systemd-firstboot.service", "systemd-pstore.service", "systemd-hwdb-update.service",
	"systemd-network-generator.service", "systemd-random-seed.service", "modprobe@drm.service", "dev-hugepages.mount",
}

// removed are traces of this host and of the installation, and secrets that
// two VMs must not share.
var removed = []string{
	"etc/hostname", "etc/resolv.conf", "etc/.pwd.lock",
	"etc/apt/apt.conf.d/99mmdebstrap", "etc/dpkg/dpkg.cfg.d/99mmdebstrap",
	"var/lib/dbus/machine-id", "var/lib/systemd/random-seed", "var/lib/systemd/credential.secret",
	"var/log/alternatives.log", "var/log/apt", "var/log/bootstrap.log", "var/log/dpkg.log", "var/cache/ldconfig/aux-cache",
}

// customize turns a freshly installed tree into that of an image.
func customize(root *os.Root, r recipe, now time.Time) error {
	keys, err := fs.Glob(root.FS(), "etc/ssh/ssh_host_*")
	if err != nil {
		return err
	}
	for _, name := range append(keys, removed...) {
		if err := root.RemoveAll(name); err != nil {
			return err
		}
	}
	for _, f := range files(r) {
		if err := put(root, f); err != nil {
			return err
		}
	}
	links := map[string]string{"etc/resolv.conf": "../run/systemd/resolve/stub-resolv.conf"}
	for _, unit := range masked {
		links["etc/systemd/system/"+unit] = "/dev/null"
	}
	for name, target := range links {
		if err := root.RemoveAll(name); err != nil {
			return err
		}
		if err := root.Symlink(target, name); err != nil {
			return err
		}
	}
	return markUpdated(root, now)
}

// put writes a file anew, whatever was there.
func put(root *os.Root, f File) error {
	if err := root.MkdirAll(path.Dir(f.Path), 0o755); err != nil {
		return err
	}
	if err := root.RemoveAll(f.Path); err != nil {
		return err
	}
	out, err := root.OpenFile(f.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.Mode)
	if err != nil {
		return err
	}
	_, err = out.WriteString(f.Body)
	return errors.Join(err, out.Chmod(f.Mode), out.Close())
}

// markUpdated tells systemd that its caches are younger than /usr: it would
// make them again during the first boot of each VM, for seconds.
func markUpdated(root *os.Root, now time.Time) error {
	stamp := fmt.Sprintf("# This file was created by banger.\nTIMESTAMP_NSEC=%d\n", now.UnixNano())
	for _, name := range []string{"etc/.updated", "var/.updated"} {
		if err := put(root, File{name, 0o644, stamp}); err != nil {
			return err
		}
		if err := root.Chtimes(name, now, now); err != nil {
			return err
		}
	}
	return nil
}

// copySkel copies the skeleton of a home directory out of the image.
func copySkel(root *os.Root, to string) error {
	skel, err := root.OpenRoot("etc/skel")
	if err != nil {
		return err
	}
	defer skel.Close()
	return os.CopyFS(to, skel.FS())
}

// prettyName is how the system in root calls itself.
func prettyName(root *os.Root) string {
	f, err := root.Open("usr/lib/os-release")
	if err != nil {
		return "Debian"
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for s.Scan() {
		if name, ok := strings.CutPrefix(s.Text(), "PRETTY_NAME="); ok {
			return strings.Trim(name, `"`)
		}
	}
	return "Debian"
}
