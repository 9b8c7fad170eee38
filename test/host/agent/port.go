package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// awayPoll is how often an agent without a caller looks for one: the port
// reads nothing, without waiting, while nobody is at its other end.
const awayPoll = 20 * time.Millisecond

// port is a virtio-serial port whose Read returns io.EOF once when a caller
// leaves, and then waits for the next.
type port struct {
	*os.File
	away bool // only Read uses it, and it has one caller at a time
}

// openPort opens the port with a name.
func openPort(name string) (*port, error) {
	files, err := filepath.Glob("/sys/class/virtio-ports/*/name")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		got, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if strings.TrimSpace(string(got)) == name {
			f, err := os.OpenFile(filepath.Join("/dev", filepath.Base(filepath.Dir(file))), os.O_RDWR, 0)
			return &port{File: f, away: true}, err
		}
	}
	return nil, fmt.Errorf("there is no virtio-serial port %s", name)
}

func (p *port) Read(b []byte) (int, error) {
	for {
		n, err := p.File.Read(b)
		if n > 0 || err != io.EOF {
			p.away = false
			return n, err
		}
		if !p.away {
			p.away = true
			return 0, io.EOF
		}
		time.Sleep(awayPoll)
	}
}
