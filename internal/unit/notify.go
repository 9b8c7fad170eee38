package unit

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
)

// notifySocket is the variable of sd_notify(3).
const notifySocket = "NOTIFY_SOCKET"

// Notifier tells the service manager that started us how we are (sd_notify(3)).
// The zero value tells nobody.
type Notifier struct{ socket string }

// NewNotifier takes the socket out of the environment: nothing that we start
// may speak for us.
func NewNotifier() (Notifier, error) {
	n := Notifier{os.Getenv(notifySocket)}
	return n, os.Unsetenv(notifySocket)
}

// Ready says that we serve.
func (n Notifier) Ready(status string) error { return n.tell("READY=1", "STATUS="+status) }

// Stopping says that we are about to end.
func (n Notifier) Stopping(status string) error { return n.tell("STOPPING=1", "STATUS="+status) }

// tell sends assignments, one a line. A socket whose path begins with @ has no
// file; the net package reads that the same way.
func (n Notifier) tell(assignments ...string) error {
	if n.socket == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err == nil {
		_, err = conn.Write([]byte(strings.Join(assignments, "\n")))
		err = errors.Join(err, conn.Close())
	}
	if err != nil {
		return fmt.Errorf("telling the service manager: %w", err)
	}
	return nil
}
