package kvmprobe

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
	"time"
)

// Device is the kernel's interface to the processor's virtualisation.
const Device = "/dev/kvm"

// OpenDevice says why this user cannot open the device, "" if it can.
func OpenDevice() string { return OpenDeviceAt(Device) }

// OpenDeviceAt says it of the device at path.
func OpenDeviceAt(path string) string {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	switch {
	case err == nil:
		_ = f.Close() // nothing was done with it
		return ""
	case errors.Is(err, os.ErrNotExist):
		return "this host has no " + Device + ": its processor or its own hypervisor offers no virtualisation, or the kvm module is not loaded"
	case errors.Is(err, os.ErrPermission):
		return "this user may not open " + Device + "; " + GrantAt(path, "$USER") + ", then log in again, changes that"
	}
	return fmt.Sprintf("%s cannot be opened: %v", Device, err)
}

// Grant is the command that lets a user open the device after the next login.
func Grant(user string) string { return GrantAt(Device, user) }

// GrantAt is that for the device at path.
func GrantAt(path, user string) string {
	if group := groupOf(path); group != "" {
		return "sudo usermod -aG " + group + " " + user
	}
	return "sudo groupadd -rf kvm && sudo chgrp kvm " + Device + " && sudo chmod 0660 " + Device + " && sudo usermod -aG kvm " + user
}

// groupOf is the group whose members may open the device; "" if there is none
// but root's, which is to give nobody anything.
func groupOf(path string) string {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&0o060 != 0o060 {
		return ""
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Gid == 0 {
		return ""
	}
	group, err := user.LookupGroupId(strconv.Itoa(int(st.Gid)))
	if err != nil {
		return ""
	}
	return group.Name
}

const cpuinfo = "/proc/cpuinfo"

// slownessOf is how much longer guests may take than on a real processor: one
// that QEMU emulates has virtualisation, too, and runs the guest's code at the
// speed of its own.
func slownessOf(cpuinfo string) time.Duration {
	b, err := os.ReadFile(cpuinfo)
	if err == nil && bytes.Contains(b, []byte("QEMU TCG CPU")) {
		return 8
	}
	return 1
}

// FileIdentity changes when a file does.
func FileIdentity(path string) (string, error) {
	st, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	var inode uint64
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		inode = sys.Ino
	}
	return fmt.Sprintf("%s %d %d %d", path, inode, st.Size(), st.ModTime().UnixNano()), nil
}
