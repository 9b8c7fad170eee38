package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/fakeproc"
)

// machine is the one that this process is.
type machine struct {
	spec    vmm.Spec
	faults  faults
	control *control
	console *console
	port    *port

	starts chan chan error // of DoStart

	mu     sync.Mutex
	state  string
	reason string // of the pause
	guest  hostMessage
	counts statsByDrive // before the guest
	end    string       // why it ends, if it was not by itself
}

func newMachine(spec vmm.Spec, f faults) (*machine, error) {
	m := &machine{spec: spec, faults: f, state: fakeproc.StatePrelaunch, starts: make(chan chan error), console: newConsole(), port: &port{}}
	m.control = &control{m: m, listeners: map[*session]bool{}}
	for fd, serve := range map[uintptr]func(net.Listener){
		fakeproc.FDControl: m.control.serve, fakeproc.FDConsole: m.console.serve, fakeproc.FDAgent: m.port.serve,
	} {
		syscall.CloseOnExec(int(fd))
		l, err := net.FileListener(os.NewFile(fd, "listener"))
		if err != nil {
			return nil, fmt.Errorf("listening on descriptor %d: %w", fd, err)
		}
		go serve(l)
	}
	syscall.CloseOnExec(fakeproc.FDLock) // a guest that we leave behind is no VMM
	return m, nil
}

// live starts the guest when that is asked for and returns when it has ended.
func (m *machine) live() error {
	told := <-m.starts
	host, err := m.start()
	if err == nil {
		err = m.faults.at(stepStarted)
	}
	told <- err
	if err != nil {
		return err // the guest, if there is one, ends with us
	}
	go func() {
		if err := m.faults.at(stepRunning); err != nil {
			fmt.Fprintln(os.Stderr, "fakevmm:", err)
			os.Exit(exitFault)
		}
	}()
	var ended, released hostMessage
	if err := host.Decode(&ended); err != nil {
		return fmt.Errorf("the guest's host is gone: %w", err)
	}
	if err := m.ends(&ended); err != nil {
		return err
	}
	err = host.Decode(&released)
	if err == nil && released.Error != "" {
		err = errors.New(released.Error)
	}
	end, jerr := json.Marshal(fakeproc.End{Reason: ended.Ended})
	if jerr == nil {
		jerr = os.WriteFile(fakeproc.FileEnd, end, 0o600)
	}
	m.console.end()
	m.control.end()
	return errors.Join(err, jerr)
}

// start has the host run the guest.
func (m *machine) start() (*json.Decoder, error) {
	if err := m.faults.at(stepStart); err != nil {
		return nil, err
	}
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: os.Getenv(hostEnv), Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("looking for who runs the guests (%s, see fakevmm %s): %w", hostEnv, roleHost, err)
	}
	if err := json.NewEncoder(conn).Encode(m.spec); err != nil {
		return nil, fmt.Errorf("asking for a guest: %w", err)
	}
	line, oob := make([]byte, 4<<10), make([]byte, unix.CmsgSpace(2*4))
	n, oobn, _, _, err := conn.ReadMsgUnix(line, oob)
	if err != nil {
		return nil, fmt.Errorf("asking for a guest: %w", err)
	}
	var first hostMessage
	if err := json.Unmarshal(line[:n], &first); err != nil {
		return nil, fmt.Errorf("asking for a guest: %w", err)
	}
	if first.Error != "" {
		return nil, errors.New(first.Error)
	}
	ttys, err := files(oob[:oobn])
	if err != nil || len(ttys) != 2 {
		return nil, errors.Join(errors.New("the guest's terminals did not come along"), err)
	}
	m.console.attach(ttys[0])
	m.port.attach(ttys[1])
	m.mu.Lock()
	defer m.mu.Unlock()
	m.guest, m.state = first, fakeproc.StateRunning
	m.counts, err = counted(first.Drives)
	return json.NewDecoder(bufio.NewReader(conn)), err
}

// files are those that came along with a message.
func files(oob []byte) (list []*os.File, _ error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	for _, msg := range messages {
		fds, err := unix.ParseUnixRights(&msg)
		if err != nil {
			return nil, err
		}
		for _, fd := range fds {
			syscall.CloseOnExec(fd)
			if err := syscall.SetNonblock(fd, true); err != nil {
				return nil, err
			}
			list = append(list, os.NewFile(uintptr(fd), "tty"))
		}
	}
	return list, nil
}

// ends tells all who listen how the guest ended.
func (m *machine) ends(how *hostMessage) error {
	m.mu.Lock()
	if m.end != "" {
		how.Ended, how.Panic = m.end, ""
	}
	m.mu.Unlock()
	if how.Panic != "" {
		m.console.print(how.Panic + "\r\n")
	}
	if err := m.faults.at(stepEnd); err != nil {
		return err
	}
	event := vmm.EventPoweroff
	if how.Ended == vmm.ExitReset {
		event = vmm.EventReset
	}
	m.control.tell(fakeproc.Message{Event: event})
	return nil
}

// do what a request asks for.
func (m *machine) do(what string) (answer fakeproc.Message, err error) {
	switch what {
	case fakeproc.DoStart:
		m.mu.Lock()
		waits := m.state == fakeproc.StatePrelaunch
		m.mu.Unlock()
		if !waits {
			return answer, errors.New("it was started")
		}
		done := make(chan error, 1)
		select {
		case m.starts <- done:
			return answer, <-done
		case <-time.After(time.Second):
			return answer, errors.New("it is being started")
		}
	case fakeproc.DoPause:
		return answer, m.pause()
	case fakeproc.DoResume:
		return answer, m.resume()
	case fakeproc.DoStats:
		answer.Drives, err = m.stats()
		return answer, err
	case fakeproc.DoPoweroff:
		return answer, m.kill(vmm.ExitPoweroff)
	case fakeproc.DoReset:
		return answer, m.kill(vmm.ExitReset)
	}
	return answer, fmt.Errorf("%q is not known", what)
}

// kill ends the guest as if it had ended itself.
func (m *machine) kill(reason string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.guest.PID == 0 {
		return errors.New("there is no guest")
	}
	m.end = reason
	return syscall.Kill(m.guest.PID, syscall.SIGKILL)
}
