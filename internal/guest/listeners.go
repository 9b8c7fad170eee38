package guest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/guest/wire"
)

var errListeners = errors.New("the guest's agent told impossible listeners")

// Listeners asks what listens in the guest.
func (c *Client) Listeners(ctx context.Context) (wire.Listeners, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.CallTimeout)
	defer cancel()
	conn, err := c.connected(ctx)
	if err != nil {
		return wire.Listeners{}, err
	}
	resp, err := getListeners(ctx, conn, wire.PathListeners)
	if err != nil {
		return wire.Listeners{}, err
	}
	defer resp.Body.Close()
	line, err := readLine(bufio.NewReader(resp.Body))
	if err != nil {
		return wire.Listeners{}, unavailable("asking the guest's agent what listens: %w", err)
	}
	return decodeListeners(line)
}

// WatchListeners calls f with what listens over TCP in the guest, at once and
// whenever it changes, until ctx ends, f fails or the connection is lost.
func (c *Client) WatchListeners(ctx context.Context, f func(wire.Listeners) error) error {
	conn, err := c.connected(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resp, err := getListeners(ctx, conn, wire.PathListenersWatch)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	r := bufio.NewReader(resp.Body)
	for {
		line, err := readLine(r)
		if err != nil {
			return unavailable("watching what listens in the guest: %w", err)
		}
		all, err := decodeListeners(line)
		if err == nil {
			err = f(all)
		}
		if err != nil {
			return err
		}
	}
}

func getListeners(ctx context.Context, conn *http.ClientConn, path string) (*http.Response, error) {
	resp, err := send(ctx, conn, http.MethodGet, path, nil)
	if err != nil {
		return nil, unavailable("asking the guest's agent what listens: %w", err)
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return resp, nil
	case http.StatusNotFound:
		err = fault.New(fault.Precondition, "Start the VM anew: its agent comes with each start.",
			"the guest's agent is of an older banger and does not tell what listens")
	default:
		err = fmt.Errorf("the guest's agent answered %d to what listens", resp.StatusCode)
	}
	return nil, errors.Join(err, resp.Body.Close())
}

// decodeListeners reads what the agent tells, and refuses what none of ours would.
func decodeListeners(line []byte) (wire.Listeners, error) {
	var all wire.Listeners
	if err := json.Unmarshal(line, &all); err != nil {
		return wire.Listeners{}, fmt.Errorf("%w: %w", errListeners, err)
	}
	if len(all.All) > wire.MaxListeners {
		return wire.Listeners{}, fmt.Errorf("%w: %d of them", errListeners, len(all.All))
	}
	for _, l := range all.All {
		addr, err := netip.ParseAddr(l.Address)
		switch {
		case err != nil || addr.Zone() != "" || addr.String() != l.Address:
			return wire.Listeners{}, fmt.Errorf("%w: the address %.40q", errListeners, l.Address)
		case l.Network != "tcp" && l.Network != "udp":
			return wire.Listeners{}, fmt.Errorf("%w: the network %.40q", errListeners, l.Network)
		case l.Port < 1 || l.Port > 1<<16-1 || l.PID < 0:
			return wire.Listeners{}, fmt.Errorf("%w: port %d of process %d", errListeners, l.Port, l.PID)
		case !printable(l.Process, wire.MaxName) || !printable(l.User, wire.MaxName):
			return wire.Listeners{}, fmt.Errorf("%w: the names %.40q, %.40q", errListeners, l.Process, l.User)
		}
	}
	return all, nil
}
