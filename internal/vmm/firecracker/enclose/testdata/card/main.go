// Command card is a VMM whose guest sends a frame now and then, and sends back
// all that it gets, turned around.
package main

import (
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// header is the card's own before each frame, as the VMM asks for it.
const header = 12

func main() {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR, 0)
	check(err)
	req, err := unix.NewIfreq("tap0")
	check(err)
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	check(unix.IoctlIfreq(fd, unix.TUNSETIFF, req))
	check(unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, header))
	go func() {
		for ; ; time.Sleep(20 * time.Millisecond) {
			_, err := unix.Write(fd, append(make([]byte, header), frame("from the guest")...))
			check(err)
		}
	}()
	for buf := make([]byte, 1<<17); ; {
		n, err := unix.Read(fd, buf)
		check(err)
		if n < header+14 || buf[header+12] != 0x88 { // the kernel's own
			continue
		}
		payload := buf[header+14 : n]
		slices.Reverse(payload)
		_, err = unix.Write(fd, append(make([]byte, header), frame(string(payload))...))
		check(err)
	}
}

// frame is one of a type for experiments.
func frame(payload string) []byte {
	return append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5}, payload...)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
