package sockets

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What this very process opens is found, and as its own.
func TestOwnSockets(t *testing.T) {
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	self := Owner{PID: os.Getpid(), Name: strings.TrimSpace(string(comm))}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	at := l.Addr().(*net.TCPAddr).AddrPort()
	conn, err := net.Dial("tcp", at.String()) // is no listener
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	u, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	want := []Socket{
		{Network: "tcp", Addr: at, UID: uint32(os.Getuid()), Owner: self},
		{Network: "udp", Addr: u.LocalAddr().(*net.UDPAddr).AddrPort(), UID: uint32(os.Getuid()), Owner: self},
	}
	if six, err := net.Listen("tcp6", "[::1]:0"); err == nil {
		defer six.Close()
		want = append(want, Socket{Network: "tcp", Addr: six.Addr().(*net.TCPAddr).AddrPort(), UID: uint32(os.Getuid()), Owner: self})
	}
	all, more, err := List("/proc")
	if err != nil || more {
		t.Fatal(more, err)
	}
	Own(t.Context(), "/proc", all)
	for _, w := range want {
		at := slices.IndexFunc(all, func(s Socket) bool { return s.Network == w.Network && s.Addr == w.Addr })
		if at < 0 {
			t.Errorf("%s %s is not there", w.Network, w.Addr)
			continue
		}
		if all[at].inode = 0; all[at] != w {
			t.Errorf("%+v, want %+v", all[at], w)
		}
	}
	if client := conn.LocalAddr().(*net.TCPAddr).AddrPort(); slices.ContainsFunc(all, func(s Socket) bool { return s.Addr == client }) {
		t.Error("a connection is told as a listener")
	}
	if got := Holder(t.Context(), at); got != self.Name+" (pid "+strconv.Itoa(self.PID)+")" {
		t.Errorf("it is held by %q", got)
	}
	if got := Holder(t.Context(), netip.AddrPortFrom(netip.MustParseAddr("127.0.0.3"), at.Port())); got != "" {
		t.Errorf("another address is held by %q", got)
	}
}

const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0 100 0 0 10 0
`

func TestParse(t *testing.T) {
	all, more, err := parse(strings.NewReader(table), "tcp", "0A")
	if err != nil || more || len(all) != 1 || all[0].Addr.String() != "127.0.0.1:8080" || all[0].UID != 1000 || all[0].inode != 4711 {
		t.Errorf("%+v %v %v", all, more, err)
	}
	line := strings.SplitAfter(table, "\n")[1]
	_, more, err = parse(strings.NewReader("titles\n"+strings.Repeat(line, maxSockets+1)), "tcp", "0A")
	if err != nil || !more {
		t.Errorf("too many: %v, %v", more, err)
	}
	for text, want := range map[string]string{
		"0100007F:0016":                         "127.0.0.1:22",
		"00000000000000000000000001000000:1F90": "[::1]:8080",
		"0000000000000000FFFF00000100007F:1F90": "127.0.0.1:8080",
		"B80D01200000000000000000010000FE:0001": "[2001:db8::fe00:1]:1",
	} {
		if got, err := address(text); err != nil || got.String() != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(table))
	f.Add([]byte(strings.ReplaceAll(table, "0100007F", "00000000000000000000000001000000")))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, _, err := parse(bytes.NewReader(text), "tcp", "0A")
		for _, s := range all {
			if err != nil || !s.Addr.IsValid() || s.Addr.Port() == 0 || s.Addr.Addr().Is4In6() {
				t.Errorf("%+v, %v", s, err)
			}
		}
	})
}

// A machine without IPv6, whose processes belong to others or are gone.
func TestElsewhere(t *testing.T) {
	proc := t.TempDir()
	if err := errors.Join(
		os.MkdirAll(filepath.Join(proc, "net"), 0o755), os.MkdirAll(filepath.Join(proc, "7/fd"), 0o755), os.MkdirAll(filepath.Join(proc, "8"), 0o755),
		os.WriteFile(filepath.Join(proc, "net/tcp"), []byte(table), 0o600),
		os.Symlink("socket:[4711]", filepath.Join(proc, "7/fd/3")), os.Symlink("socket:[x]", filepath.Join(proc, "7/fd/4")),
	); err != nil {
		t.Fatal(err)
	}
	all, _, err := List(proc)
	Own(t.Context(), proc, all)
	if err != nil || len(all) != 1 || all[0].Owner != (Owner{PID: 7}) {
		t.Errorf("%+v, %v", all, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	all[0].Owner = Owner{}
	if Own(ctx, proc, all); all[0].Owner.PID != 0 {
		t.Error("it goes on after its context's end")
	}
	if _, _, err := List(filepath.Join(proc, "net/tcp")); err == nil {
		t.Error("a file in the place of a directory is no error")
	}
}
