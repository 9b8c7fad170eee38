package main

import (
	"io"
	"net"
	"os"
)

// pipe is what the floor does in a guest that has an init of its own: it joins
// a port with sshd, one connection after the other, and knows nothing of what
// goes through it.
func pipe() error {
	port, err := openChannel("floor.pipe", 3)
	if err != nil {
		return err
	}
	return port.each(func(port *os.File) error { return relay(port, "127.0.0.1:22") })
}

// relay serves one connection of the host's to a server in the guest.
func relay(port *os.File, server string) error {
	buf := make([]byte, 64<<10)
	n, err := port.Read(buf) // the client speaks at once; without a host this is the end
	if err != nil {
		return err
	}
	conn, err := net.Dial("tcp", server)
	if err != nil {
		return err
	}
	go func() { _, _ = io.Copy(struct{ io.Writer }{port}, conn) }() // ends with conn
	_, err = conn.Write(buf[:n])
	for err == nil {
		if n, err = port.Read(buf); err == nil {
			_, err = conn.Write(buf[:n])
		}
	}
	conn.Close()
	return io.EOF // whoever was away first
}
