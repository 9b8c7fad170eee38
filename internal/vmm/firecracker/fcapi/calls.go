package fcapi

import (
	"context"
	"fmt"
	"net/http"
)

// The states of an instance.
const (
	StateNotStarted = "Not started"
	StateRunning    = "Running"
	StatePaused     = "Paused"
)

// Version asks for the version, once.
func (c *Client) Version(ctx context.Context) (Version, error) {
	if v := c.version.Load(); v != nil {
		return *v, nil
	}
	var reply struct {
		Version string `json:"firecracker_version"`
	}
	if err := c.get(ctx, "/version", &reply); err != nil {
		return Version{}, err
	}
	v, err := ParseVersion(reply.Version)
	if err != nil {
		return Version{}, err
	}
	c.version.Store(&v)
	return v, nil
}

// State asks how far the instance is: one of the states.
func (c *Client) State(ctx context.Context) (string, error) {
	var reply struct {
		State string `json:"state"`
	}
	if err := c.get(ctx, "/", &reply); err != nil {
		return "", err
	}
	switch reply.State {
	case StateNotStarted, StateRunning, StatePaused:
		return reply.State, nil
	}
	return "", fmt.Errorf("the state of Firecracker is not known: %.40q", reply.State)
}

// Setting is one call that configures an instance before its start.
type Setting struct {
	Path string
	Body any
}

// Configure makes one.
func (c *Client) Configure(ctx context.Context, s Setting) error {
	return c.send(ctx, http.MethodPut, s.Path, s.Body, quick)
}

// Start sets a configured instance going.
func (c *Client) Start(ctx context.Context) error { return c.act(ctx, "InstanceStart") }

// FlushMetrics has the metrics written to their file.
func (c *Client) FlushMetrics(ctx context.Context) error { return c.act(ctx, "FlushMetrics") }

func (c *Client) act(ctx context.Context, action string) error {
	return c.send(ctx, http.MethodPut, "/actions", map[string]string{"action_type": action}, quick)
}

// Pause stops the vCPUs.
func (c *Client) Pause(ctx context.Context) error { return c.setState(ctx, "Paused") }

// Resume sets them going again.
func (c *Client) Resume(ctx context.Context) error { return c.setState(ctx, "Resumed") }

func (c *Client) setState(ctx context.Context, state string) error {
	return c.send(ctx, http.MethodPatch, "/vm", map[string]string{"state": state}, quick)
}

// UpdateDrive has the file of a running instance's drive opened again, and its
// guest told of the size.
func (c *Client) UpdateDrive(ctx context.Context, id, path string) error {
	return c.send(ctx, http.MethodPatch, "/drives/"+id, DriveUpdate{ID: id, Path: path}, quick)
}

// CreateSnapshot saves a paused instance; ctx alone bounds it, as it writes
// the guest's memory.
func (c *Client) CreateSnapshot(ctx context.Context, s Snapshot) error {
	return c.send(ctx, http.MethodPut, "/snapshot/create", s, 0)
}

// LoadSnapshot makes a new process the instance that was saved.
func (c *Client) LoadSnapshot(ctx context.Context, l Load) error {
	v, err := c.Version(ctx)
	if err != nil {
		return err
	}
	if err := l.check(v); err != nil {
		return err
	}
	return c.send(ctx, http.MethodPut, "/snapshot/load", l, 0)
}
