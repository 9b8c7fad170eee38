// Command suite is the /init of a fake machine that runs the script of the VMM
// conformance suite: what internal/vmm/vmmtest/lab/guest is for real machines,
// for one whose kernel has no modules to load and nothing to mount.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/vmm/vmmtest/script"
)

func main() {
	if err := run(); err != nil {
		fmt.Println("VMMTEST GUEST FAILED:", err)
	}
	reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

func reboot(how int) { fmt.Println("VMMTEST GUEST ENDS:", unix.Reboot(how)) }

func run() error {
	console, err := os.OpenFile("/dev/ttyS0", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	port, err := os.OpenFile("/dev/vport0p1", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	go func() { fmt.Println("console ended:", script.Console(console)) }()
	return script.Serve(port, script.Actions{
		Poweroff: func() { reboot(unix.LINUX_REBOOT_CMD_POWER_OFF) },
		Reset:    func() { reboot(unix.LINUX_REBOOT_CMD_RESTART) },
		Write:    write,
		Drives:   drives,
		Clock:    clock,
	})
}

func write() {
	f, err := os.OpenFile("/dev/"+string(disk.SlotWork), os.O_WRONLY, 0)
	if err == nil {
		_, err = f.Write(bytes.Repeat([]byte{0xa5}, script.WriteSize))
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err != nil {
		fmt.Println("VMMTEST WRITE FAILED:", err)
		reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	}
}

func clock() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0
	}
	return time.Duration(now.Nano())
}

func drives() string {
	var sizes []string
	for _, slot := range disk.Slots {
		b, err := os.ReadFile("/sys/block/" + string(slot) + "/size")
		if err != nil {
			break
		}
		sizes = append(sizes, strings.TrimSpace(string(b)))
	}
	return strings.Join(sizes, " ")
}
