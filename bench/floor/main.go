// Command floor is the least that could be a banger guest's init: it inserts
// the same modules, mounts the same root and home, and then runs commands for
// whoever writes a line to a port. The benchmarks compare banger to it.
//
//	port floor.line, vsock 1   "E COMMAND ARG…\n" → "CODE LENGTH\n" and LENGTH bytes of output
//	port floor.echo, vsock 2   every byte comes back
//
// With the argument "pipe" it is no init, but a program in a guest of banger's:
//
//	port floor.pipe, vsock 3   every byte goes to sshd, and comes from there
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	home  = "/home/dev"
	owner = 1000
	path  = "/usr/local/bin:/usr/bin:/bin"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "pipe" {
		fmt.Fprintln(os.Stderr, "floor: pipe:", pipe())
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, "floor:", run())
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
	}
}

func run() error {
	if err := mountKernel(); err != nil {
		return err
	}
	if err := loadModules(); err != nil {
		return err
	}
	if err := enterRoot(); err != nil {
		return err
	}
	if err := os.Setenv("PATH", path); err != nil { // for exec.LookPath
		return err
	}
	line, err := openChannel("floor.line", 1)
	if err != nil {
		return err
	}
	echo, err := openChannel("floor.echo", 2)
	if err != nil {
		return err
	}
	go func() { fmt.Fprintln(os.Stderr, "floor: echo:", echo.each(repeat)) }()
	return line.each(serve)
}

// each serves the host, and again whenever it was away.
func (c *channel) each(serve func(*os.File) error) error {
	for {
		f, err := c.next()
		if err != nil {
			return err
		}
		if err := serve(f); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
			return err
		}
		if err := c.release(f); err != nil {
			return err
		}
	}
}

// repeat sends every byte back.
func repeat(port *os.File) error {
	buf := make([]byte, 4096)
	for {
		n, err := port.Read(buf)
		if err == nil {
			_, err = port.Write(buf[:n])
		}
		if err != nil {
			return err
		}
	}
}

// serve runs the commands that come on a port, one after the other.
func serve(port *os.File) error {
	in := bufio.NewReader(port)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		argv := strings.Fields(line)
		if len(argv) < 2 || argv[0] != "E" {
			return fmt.Errorf("%q is no request", line)
		}
		if _, err := port.Write(command(argv[1:])); err != nil {
			return err
		}
	}
}

// command runs argv as the login user and returns the reply.
func command(argv []string) []byte {
	var out bytes.Buffer
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = home, []string{"HOME=" + home, "USER=dev", "LOGNAME=dev", "SHELL=/bin/bash", "PATH=" + path}
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Credential: &syscall.Credential{Uid: owner, Gid: owner, Groups: []uint32{owner}},
	}
	code := 0
	if err := cmd.Run(); err != nil {
		code = 127
		if cmd.ProcessState != nil {
			code = cmd.ProcessState.ExitCode()
		}
	}
	return append(fmt.Appendf(nil, "%d %d\n", code, out.Len()), out.Bytes()...)
}
