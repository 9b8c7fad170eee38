package identity

import (
	"encoding/binary"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// clockSlack is the difference that is left to the guest's own time keeping.
const clockSlack = 500 * time.Millisecond

// setClock sets the wall clock where it is off.
func setClock(now time.Time) error {
	if time.Since(now).Abs() < clockSlack {
		return nil
	}
	ts, err := unix.TimeToTimespec(now)
	if err == nil {
		err = unix.ClockSettime(unix.CLOCK_REALTIME, &ts)
	}
	if err != nil {
		return fmt.Errorf("setting the clock: %w", err)
	}
	return nil
}

// addEntropy gives the kernel's random number generator bytes that only this
// VM has, credits them and has it use them at once: a restored guest would
// else go on where its twins do.
func addEntropy(entropy []byte) error {
	f, err := os.OpenFile("/dev/random", os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("opening the random number generator: %w", err)
	}
	defer f.Close()
	// struct rand_pool_info: bits, bytes, data
	info := make([]byte, 8, 8+len(entropy))
	binary.NativeEndian.PutUint32(info, uint32(len(entropy)*8))
	binary.NativeEndian.PutUint32(info[4:], uint32(len(entropy)))
	info = append(info, entropy...)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.RNDADDENTROPY, uintptr(unsafe.Pointer(&info[0]))); errno != 0 {
		return fmt.Errorf("adding entropy: %w", errno)
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.RNDRESEEDCRNG, 0); errno != 0 {
		return fmt.Errorf("using the added entropy: %w", errno)
	}
	return nil
}
