package vmm

import (
	"fmt"
	"syscall"
)

// Room is what this user may still write to the file system with path, in
// bytes: what PauseNoSpace and the resume after it are decided by.
func Room(path string) (int64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(path, &fs); err != nil {
		return 0, fmt.Errorf("asking for the room on the disk of %s: %w", path, err)
	}
	return int64(min(fs.Bavail, 1<<40)) * fs.Bsize, nil
}
