package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// pipePort is where a floor's pipe listens on vsock.
const pipePort = 3

// barePipe joins standard input and output with a socket, or with a vsock port
// behind it ("SOCKET:PORT"), until either is closed.
func barePipe(to string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	socket, number, vsock := strings.Cut(to, ":")
	var conn net.Conn
	var err error
	if vsock {
		var port int
		if port, err = strconv.Atoi(number); err == nil {
			conn, err = dialVsock(ctx, filepath.Dir(socket), port)
		}
	} else {
		conn, err = new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	go func() {
		_, _ = io.Copy(conn, os.Stdin)
		conn.Close() // ssh is gone; its SIGHUP does nothing where that is ignored
	}()
	if _, err = io.Copy(os.Stdout, conn); errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
