package login

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// As calls f with the rights of u to files: it may do what u may, and what it
// makes is u's. f must do so in its own goroutine. Without the privilege to
// become another user, u must be who runs already.
func (u *User) As(f func() error) error {
	if euid := os.Geteuid(); euid != 0 {
		if int(u.UID) != euid {
			return fmt.Errorf("the agent cannot become the user %s", u.Name)
		}
		return f()
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine, and its rights
		err := u.become()
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// become gives this thread, and no other, the rights of u to files.
func (u *User) become() error {
	var groups unsafe.Pointer
	if len(u.Groups) > 0 {
		groups = unsafe.Pointer(&u.Groups[0])
	}
	// The kernel's own call, as libraries change all threads.
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(u.Groups)), uintptr(groups), 0); errno != 0 {
		return os.NewSyscallError("setgroups", errno)
	}
	for _, each := range []struct { // the last takes the privilege to do the others
		name string
		set  func(int) (int, error)
		id   uint32
	}{{"setfsgid", unix.SetfsgidRetGid, u.GID}, {"setfsuid", unix.SetfsuidRetUid, u.UID}} {
		if _, err := each.set(int(each.id)); err != nil {
			return os.NewSyscallError(each.name, err)
		}
		now, err := each.set(-1) // changes nothing; a failure is told no other way
		if err != nil || uint32(now) != each.id {
			return fmt.Errorf("%s did not take %d", each.name, each.id)
		}
	}
	return nil
}
