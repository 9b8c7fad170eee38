package reach

import (
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
)

func NewDial(a *app.App) *cobra.Command {
	var wait app.Seconds
	cmd := &cobra.Command{
		Use:   "dial [flags] VM ADDRESS",
		Short: "Connect standard input and output to an address in a VM",
		Long: `Connect standard input and output to an address in a VM: a port of its
loopback (8080), HOST:PORT as the VM understands it, or the path of a Unix
socket. The VM needs no network for it.`,
		Args: app.Takes(2, 2, "the VM's name or the address in it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			network, address, err := guestAddress(args[1])
			if err != nil {
				return err
			}
			c, err := a.Client()
			if err != nil {
				return err
			}
			conn, err := c.DialGuest(cmd.Context(), args[0], network, address, time.Duration(wait))
			if err != nil {
				return err
			}
			return pipe(a.In, a.Out, conn)
		},
		ValidArgsFunction: app.CompleteVMs(a),
	}
	cmd.Flags().Var(&wait, "wait", "wait so long for something to listen there: 30s, 5m")
	return cmd
}

// guestAddress reads an address as people write it.
func guestAddress(text string) (network, address string, err error) {
	if strings.HasPrefix(text, "/") {
		return "unix", text, nil
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = "127.0.0.1", text
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
		return "", "", app.Usagef("%q is no address: write PORT, HOST:PORT or the path of a socket", text)
	}
	return "tcp", net.JoinHostPort(host, port), nil
}

// pipe copies until the guest's end is closed.
func pipe(in io.Reader, out io.Writer, conn *client.Conn) error {
	go func() { // it may wait for input for ever
		if _, err := io.Copy(conn, in); err == nil || errors.Is(err, syscall.EPIPE) {
			_ = conn.CloseWrite() // marks the stream's end, which cannot fail
		}
	}()
	_, err := io.Copy(out, conn)
	if err = errors.Join(err, conn.Close()); err != nil {
		return err
	}
	return conn.Wait() // it may have broken
}
