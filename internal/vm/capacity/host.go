package capacity

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// Look asks the host. root is the host's root, of which /proc and /sys are read;
// dir is where the VMs are.
func Look(root fs.FS, dir string) (Host, error) {
	h := Host{CPUs: runtime.NumCPU()}
	var err error
	if h.MemoryBytes, h.AvailableBytes, err = memory(root); err != nil {
		return h, err
	}
	h.bound(root)
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return h, fmt.Errorf("asking for the room on the disk of %s: %w", dir, err)
	}
	h.DiskBytes, h.FreeBytes = int64(st.Blocks)*st.Bsize, int64(st.Bavail)*st.Bsize
	return h, nil
}

// memory reads /proc/meminfo.
func memory(root fs.FS) (total, available int64, err error) {
	text, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0, 0, fmt.Errorf("asking for the host's memory: %w", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		kb, err := strconv.ParseInt(fields[1], 10, 53)
		if err != nil {
			continue
		}
		switch fields[0] {
		case "MemTotal:":
			total = kb << 10
		case "MemAvailable:":
			available = kb << 10
		}
	}
	if total == 0 || available == 0 {
		return 0, 0, fmt.Errorf("the host's memory is not told in /proc/meminfo")
	}
	return total, available, nil
}

// bound takes in what the control groups of this process leave of the memory, as
// those of a container do (version 2).
func (h *Host) bound(root fs.FS) {
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return
	}
	_, group, ok := strings.Cut(string(text), "0::")
	if !ok {
		return
	}
	group, _, _ = strings.Cut(group, "\n")
	for at := path.Clean("/" + group); ; at = path.Dir(at) {
		dir := path.Join("sys/fs/cgroup", at)
		if most, ok := number(root, dir+"/memory.max"); ok {
			used, _ := number(root, dir+"/memory.current")
			h.MemoryBytes = min(h.MemoryBytes, most)
			h.AvailableBytes = min(h.AvailableBytes, max(0, most-used+reclaimable(root, dir)))
		}
		if at == "/" {
			return
		}
	}
}

// reclaimable is the part of a group's memory that the kernel can take back.
func reclaimable(root fs.FS, dir string) int64 {
	text, err := fs.ReadFile(root, dir+"/memory.stat")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "inactive_file "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 63)
			if err == nil {
				return n
			}
		}
	}
	return 0
}

// number reads a file with a number; "max" is none.
func number(root fs.FS, name string) (int64, bool) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 63)
	return n, err == nil
}
