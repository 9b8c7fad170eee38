// Package login is who a command in the guest runs as, and with what
// environment, by the guest's own files; their bytes are not trusted.
package login

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxFile bounds the guest's own files that are read here.
const maxFile = 4 << 20

// User is who a command runs as. Home and Shell are never empty.
type User struct {
	Name     string
	UID, GID uint32
	Groups   []uint32 // GID first
	Home     string
	Shell    string
}

// Files are the guest's own that say it, read again only when they have
// changed.
type Files struct {
	passwd, group, environment, locale *cachedFile
}

// New reads them in etc, when they are needed.
func New(etc string) *Files {
	file := func(name string) *cachedFile { return &cachedFile{path: filepath.Join(etc, name)} }
	return &Files{passwd: file("passwd"), group: file("group"), environment: file("environment"), locale: file("default/locale")}
}

// Lookup finds a user by name or uid; false for an unknown name. Root, and a
// uid of nobody, need no entry.
func (f *Files) Lookup(who string) (*User, bool) {
	uid, uidErr := strconv.ParseUint(who, 10, 32)
	found := f.find(func(name, id string) bool { return name == who })
	if found == nil && uidErr == nil {
		found = f.find(func(_, id string) bool { return id == strconv.FormatUint(uid, 10) })
	}
	switch {
	case found != nil:
	case who == "root" || who == "0":
		found = &User{Name: "root", Home: "/root", Shell: "/bin/sh"}
	case uidErr == nil:
		found = &User{Name: who, UID: uint32(uid), GID: uint32(uid), Home: "/", Shell: "/bin/sh"}
	default:
		return nil, false
	}
	found.Groups = f.groupsOf(found.Name, found.GID)
	return found, true
}

// find returns the first passwd entry that matches.
func (f *Files) find(match func(name, uid string) bool) *User {
	for line := range bytes.Lines(f.passwd.read()) {
		col := strings.Split(strings.TrimRight(string(line), "\n"), ":")
		if len(col) < 7 || !match(col[0], col[2]) {
			continue
		}
		uid, err1 := strconv.ParseUint(col[2], 10, 32)
		gid, err2 := strconv.ParseUint(col[3], 10, 32)
		if err1 != nil || err2 != nil {
			continue
		}
		found := &User{Name: col[0], UID: uint32(uid), GID: uint32(gid), Home: col[5], Shell: col[6]}
		if found.Home == "" {
			found.Home = "/"
		}
		if found.Shell == "" {
			found.Shell = "/bin/sh"
		}
		return found
	}
	return nil
}

// groupsOf lists a user's groups, its own first.
func (f *Files) groupsOf(name string, own uint32) []uint32 {
	groups := []uint32{own}
	for line := range bytes.Lines(f.group.read()) {
		col := strings.Split(strings.TrimSpace(string(line)), ":")
		if len(col) < 4 {
			continue
		}
		gid, err := strconv.ParseUint(col[2], 10, 32)
		if err != nil || uint32(gid) == own {
			continue
		}
		for member := range strings.SplitSeq(col[3], ",") {
			if member == name {
				groups = append(groups, uint32(gid))
				break
			}
		}
	}
	return groups
}

// cachedFile is a small file that seldom changes. One that is not there, or
// cannot be read, is empty.
type cachedFile struct {
	path string

	mu    sync.Mutex
	stamp string
	data  []byte
}

func (c *cachedFile) read() []byte {
	info, err := os.Stat(c.path)
	if err != nil || info.Size() > maxFile || !info.Mode().IsRegular() {
		return nil
	}
	stamp := fmt.Sprint(info.Size(), info.ModTime().UnixNano())
	c.mu.Lock()
	data, fresh := c.data, stamp == c.stamp
	c.mu.Unlock()
	if fresh {
		return data
	}
	if data, err = os.ReadFile(c.path); err != nil {
		return nil
	}
	if time.Since(info.ModTime()) < 2*time.Second {
		stamp = "" // it may change again within the clock's grain
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stamp, c.data = stamp, data
	return data
}

// settings are the NAME=VALUE lines of a file in the way of /etc/environment.
func (c *cachedFile) settings() map[string]string {
	set := map[string]string{}
	sc := bufio.NewScanner(bytes.NewReader(c.read()))
	for sc.Scan() {
		line := strings.TrimPrefix(strings.TrimSpace(sc.Text()), "export ")
		name, value, ok := strings.Cut(line, "=")
		if ok && name != "" && !strings.ContainsAny(name, "# \t") {
			set[name] = strings.Trim(value, `"'`)
		}
	}
	return set
}
