// Command inside tells what it sees and may do.
package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sort"

	"golang.org/x/sys/unix"
)

func main() {
	fmt.Println("args:", os.Args)
	dir, _ := os.Getwd()
	host, _ := os.Hostname()
	fmt.Println("dir:", dir, "pid:", os.Getpid(), "uid:", os.Getuid(), "gid:", os.Getgid(), "host:", host, "env:", os.Environ())
	var files []string
	_ = filepath.WalkDir("/", func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			files = append(files, path)
		}
		return nil
	})
	sort.Strings(files)
	fmt.Println("files:", files)
	fmt.Println("write read-only:", os.WriteFile("/given", []byte("x"), 0o600) != nil)
	fmt.Println("write writable:", os.WriteFile("/disk", []byte("written"), 0o600))
	fmt.Println("write to the root:", os.WriteFile("/new", nil, 0o600) != nil, os.Mkdir("/newdir", 0o700) != nil)
	fmt.Println("write to run:", os.WriteFile("made", []byte("made"), 0o600))
	fmt.Println("mount:", unix.Mount("tmpfs", "/run", "tmpfs", 0, ""))
	fmt.Println("remount:", unix.Mount("", "/given", "", unix.MS_REMOUNT|unix.MS_BIND, ""))
	fmt.Println("chroot:", unix.Chroot("/run"))
	fmt.Println("parent's root:", escape())
	ifaces, err := net.Interfaces()
	fmt.Println("interfaces:", len(ifaces), err)
	extra, err := os.NewFile(3, "extra").Stat()
	fmt.Println("extra:", err == nil && extra.Size() == 5)
	_, err = os.NewFile(4, "none").Stat()
	fmt.Println("another descriptor:", err != nil)
	os.Exit(7)
}

// escape climbs out of a root that was only changed, not left.
func escape() bool {
	for range 20 {
		_ = unix.Chdir("..")
	}
	_, err := os.Stat("etc")
	return err == nil
}
