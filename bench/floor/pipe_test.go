package main

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What the host says reaches the server, and its answer the host; when the host
// goes the connection ends.
func TestRelay(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = io.Copy(c, c)
		}
		served <- err
	}()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	host, port := os.NewFile(uintptr(pair[0]), "host"), os.NewFile(uintptr(pair[1]), "port")
	defer port.Close()
	joined := make(chan error, 1)
	go func() { joined <- relay(port, l.Addr().String()) }()
	back := make([]byte, 4)
	for _, word := range []string{"one.", "two."} {
		if _, err := host.WriteString(word); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(host, back); err != nil || string(back) != word {
			t.Fatalf("%q, %v", back, err)
		}
	}
	host.Close()
	for what, end := range map[string]chan error{"the server's connection": served, "the pipe": joined} {
		select {
		case err := <-end:
			if err != nil && !errors.Is(err, io.EOF) {
				t.Errorf("%s: %v", what, err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s does not end", what)
		}
	}
}
