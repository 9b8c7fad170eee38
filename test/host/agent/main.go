// Command agent is the test host's own program, in two roles: as /init of the
// initramfs it mounts the root and becomes systemd; started by systemd, it
// runs commands for whoever calls on the virtio-serial port.
package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func main() {
	if os.Getpid() == 1 {
		fmt.Fprintln(os.Stderr, "test host:", boot())
		unix.Sync()
		fmt.Fprintln(os.Stderr, "test host:", unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF))
		return
	}
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "test host's agent:", err)
		os.Exit(1)
	}
}
