package sockets

import (
	"context"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The bounds of the search for owners.
const (
	maxProcesses = 1 << 15
	maxFiles     = 1 << 16 // of a process
	batch        = 256
)

// Own finds the owners of sockets: those that this user may see, and until ctx
// ends. A socket of several processes is the oldest one's, which is the parent
// mostly.
func Own(ctx context.Context, proc string, all []Socket) {
	missing := make(map[uint64][]*Socket, len(all))
	for i := range all {
		missing[all[i].inode] = append(missing[all[i].inode], &all[i])
	}
	for _, pid := range processes(proc) {
		if len(missing) == 0 || ctx.Err() != nil {
			return
		}
		dir := filepath.Join(proc, strconv.Itoa(pid))
		eachSocket(ctx, filepath.Join(dir, "fd"), func(inode uint64) {
			for _, s := range missing[inode] {
				s.Owner = Owner{PID: pid, Name: name(dir)}
			}
			delete(missing, inode)
		})
	}
}

// processes are those of the machine, the oldest first as far as their numbers
// tell.
func processes(proc string) []int {
	dir, err := os.Open(proc)
	if err != nil {
		return nil
	}
	defer dir.Close()
	var pids []int
	for len(pids) < maxProcesses {
		names, err := dir.Readdirnames(batch)
		for _, n := range names {
			if pid, err := strconv.Atoi(n); err == nil {
				pids = append(pids, pid)
			}
		}
		if err != nil {
			break
		}
	}
	slices.Sort(pids)
	return pids
}

// eachSocket calls f for every socket among a process's files.
func eachSocket(ctx context.Context, fds string, f func(inode uint64)) {
	dir, err := os.Open(fds)
	if err != nil {
		return // it is another user's, or gone
	}
	defer dir.Close()
	for seen := 0; seen < maxFiles && ctx.Err() == nil; {
		names, err := dir.Readdirnames(batch)
		seen += len(names)
		for _, n := range names {
			to, err := os.Readlink(filepath.Join(fds, n))
			inode, ok := strings.CutPrefix(to, "socket:[")
			if err != nil || !ok {
				continue
			}
			if n, err := strconv.ParseUint(strings.TrimSuffix(inode, "]"), 10, 64); err == nil {
				f(n)
			}
		}
		if err != nil {
			return
		}
	}
}

// name is what a process calls itself.
func name(dir string) string {
	comm, err := fs.ReadFile(os.DirFS(dir), "comm")
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(comm[:min(len(comm), 16)]), "\n")
}

// Holder names the program that keeps others from listening on a TCP address
// of this host, "" where it is not known.
func Holder(ctx context.Context, at netip.AddrPort) string {
	all, _, err := List("/proc")
	if err != nil {
		return ""
	}
	all = slices.DeleteFunc(all, func(s Socket) bool {
		a := s.Addr.Addr()
		return s.Network != "tcp" || s.Addr.Port() != at.Port() || a != at.Addr() && !a.IsUnspecified() && !at.Addr().IsUnspecified()
	})
	Own(ctx, "/proc", all)
	for _, s := range all {
		if s.Owner.PID != 0 {
			return fmt.Sprintf("%s (pid %d)", s.Owner.Name, s.Owner.PID)
		}
	}
	return ""
}
