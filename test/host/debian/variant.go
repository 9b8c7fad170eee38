package debian

import "github.com/banger-vm/banger/internal/image/bootstrap"

// User is the host's ordinary user: it may open /dev/kvm and /dev/net/tun as
// anyone may whom an administrator put into the group kvm, and has no sudo.
const User = "user"

// variant makes a full host of the image that banger's guests have.
var variant = bootstrap.Variant{
	Packages: []string{
		// What a host of banger has.
		"qemu-system-x86", "mmdebstrap", "e2fsprogs", "openssh-client", "dmsetup", "nftables", "libnss-resolve",
		"uidmap", "dbus-user-session", "btrfs-progs", "xfsprogs",
		// What its tests use.
		"busybox-static", "psmisc", "strace", "socat", "iputils-ping", "rsync", "neovim", "ansible-core",
	},
	Hooks: []string{
		`chroot "$1" useradd --create-home --uid 1001 --user-group --groups kvm --shell /bin/bash --password "*" ` + User,
		`mkdir -p "$1/var/lib/systemd/linger" && touch "$1/var/lib/systemd/linger/` + User + `"`,
		`chroot "$1" systemctl enable nftables.service`,
		`ln -s ../test-host-agent.service "$1/etc/systemd/system/multi-user.target.wants/"`,
	},
	Files: []bootstrap.File{
		{Path: "etc/hostname", Mode: 0o644, Body: "test-host\n"},
		{Path: "etc/modules-load.d/test-host.conf", Mode: 0o644, Body: "kvm_amd\nvhost_vsock\nloop\ntun\ndm_snapshot\n"},
		{Path: "etc/systemd/system/test-host-agent.service", Mode: 0o644, Body: agentUnit},
		// Nothing may start by itself in the middle of a measurement.
		{Path: "etc/systemd/journald.conf.d/test-host.conf", Mode: 0o644, Body: "[Journal]\nStorage=volatile\nRuntimeMaxUse=64M\nForwardToConsole=no\n"},
	},
}

// agentUnit runs the agent, which the initramfs places; what it runs may start
// as many processes and open as many files as on a shell.
const agentUnit = `[Unit]
Description=The test host's agent
After=systemd-user-sessions.service dbus.service systemd-logind.service

[Service]
ExecStart=/run/test-host/agent
Restart=on-failure
TasksMax=infinity
LimitNOFILE=524288
KillMode=process
OOMScoreAdjust=-900
`
