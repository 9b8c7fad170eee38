package kernel

import "fmt"

// Unfit says that a kernel, or what belongs to it, cannot be used; any other
// error is this host's.
type Unfit struct{ err error }

func (u *Unfit) Error() string { return u.err.Error() }

// Unwrap returns the cause.
func (u *Unfit) Unwrap() error { return u.err }

// Unfitf is fmt.Errorf for an Unfit.
func Unfitf(format string, args ...any) error { return &Unfit{fmt.Errorf(format, args...)} }

var errTooBig = Unfitf("the kernel is too large: at most %d MiB packed and %d MiB unpacked are taken", maxPacked>>20, maxVmlinux>>20)
