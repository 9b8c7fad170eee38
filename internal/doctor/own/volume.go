package own

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// kinds are file systems that are worth a name here.
var kinds = map[int64]string{
	unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs", unix.OVERLAYFS_SUPER_MAGIC: "overlay",
	unix.TMPFS_MAGIC: "tmpfs", unix.RAMFS_MAGIC: "ramfs", unix.NFS_SUPER_MAGIC: "nfs", unix.SMB2_SUPER_MAGIC: "smb",
	unix.MSDOS_SUPER_MAGIC: "vfat", unix.EXFAT_SUPER_MAGIC: "exfat", 0x2fc12fc1: "zfs", unix.F2FS_SUPER_MAGIC: "f2fs",
}

// VolumeAt looks at the file system with path, of which free bytes may still be
// written.
func VolumeAt(path string, free int64) (Volume, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return Volume{}, fmt.Errorf("looking at the file system of %s: %w", path, err)
	}
	var file unix.Stat_t
	if err := unix.Stat(path, &file); err != nil {
		return Volume{}, fmt.Errorf("looking at %s: %w", path, err)
	}
	kind := kinds[int64(st.Type)]
	if kind == "" {
		kind = fmt.Sprintf("a file system of type %#x", st.Type)
	}
	return Volume{Kind: kind, Free: free, Device: file.Dev, ReadOnly: st.Flags&unix.ST_RDONLY != 0}, nil
}
