package bootstrap

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const scratchPrefix = "making-"

// Discard removes dir and whatever a broken-off Make left in it: it unmounts
// all below dir first. Should anything stay mounted, nothing is removed: it
// could be the host's /dev.
func (b *Builder) Discard(ctx context.Context, dir string) error {
	mounts, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	for _, m := range slices.Backward(mounts) {
		if err := unix.Unmount(m, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return fmt.Errorf("%s cannot be removed: unmounting %s: %w", dir, m, err)
		}
	}
	if mounts, err = mountsBelow(dir); err != nil || len(mounts) > 0 {
		return errors.Join(err, fmt.Errorf("%s cannot be removed: %d mounts are left below it", dir, len(mounts)))
	}
	// Killed processes may write for another moment.
	for range 20 {
		err = b.removeAll(dir)
		if errors.Is(err, fs.ErrPermission) && b.cfg.UID != 0 {
			_, err = b.run.Run(ctx, b.asOwner("rm", "-rf", "--", dir)) // some of it is the subordinates'
		}
		if !errors.Is(err, unix.ENOTEMPTY) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
	return err
}

// mountsBelow lists the mount points in dir, in the order of mounting.
func mountsBelow(dir string) ([]string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var mounts []string
	s := bufio.NewScanner(f)
	for s.Scan() {
		fields := strings.Fields(s.Text())
		if len(fields) < 5 {
			continue
		}
		if at := unescape.Replace(fields[4]); at == dir || strings.HasPrefix(at, dir+"/") {
			mounts = append(mounts, at)
		}
	}
	return mounts, s.Err()
}

// unescape undoes how mountinfo writes blanks in paths.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
