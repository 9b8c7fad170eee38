// Package service is the edge between the wire and the rooms: it decodes and
// validates requests, calls the use cases, and turns records and faults into
// api types. It decides nothing itself.
package service

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/event"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/image"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/rpc"
	"github.com/banger-vm/banger/internal/vm"
)

// maxWait bounds every long poll.
const maxWait = time.Minute

// Daemon is what the daemon itself answers.
type Daemon interface {
	Status(ctx context.Context) (api.DaemonStatus, error)
	Stop()
}

// Parts are the use cases behind the methods.
type Parts struct {
	Daemon        Daemon
	VMs           *vm.Manager
	Images        *image.Registry
	Operations    *operation.Registry
	Events        *event.Log
	MonitorSocket func(dir string) string
}

// Methods are the handlers of all methods of the daemon.
func Methods(p Parts) map[string]rpc.Handler {
	all := map[string]rpc.Handler{
		api.MethodDaemonStatus: handle(func(ctx context.Context, _ api.Empty) (any, error) { return p.Daemon.Status(ctx) }),
		api.MethodDaemonStop: handle(func(context.Context, api.Empty) (any, error) {
			p.Daemon.Stop()
			return api.Empty{}, nil
		}),
	}
	for _, part := range []map[string]rpc.Handler{p.vmMethods(), p.imageMethods(), p.operationMethods()} {
		for name, h := range part {
			all[name] = h
		}
	}
	return all
}

// handle decodes a method's parameters strictly.
func handle[P any](call func(ctx context.Context, params P) (any, error)) rpc.Handler {
	return func(ctx context.Context, raw json.RawMessage) (any, error) {
		var params P
		if len(raw) > 0 && !bytes.Equal(raw, []byte("null")) {
			dec := json.NewDecoder(bytes.NewReader(raw))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&params); err != nil {
				return nil, fault.New(fault.Invalid, "See docs/rpc.md for the method's parameters.",
					"the parameters cannot be read: %w", err)
			}
		}
		return call(ctx, params)
	}
}

// Error turns any error into what crosses the wire.
func Error(err error) *api.Error {
	var wire *api.Error
	if errors.As(err, &wire) {
		return wire
	}
	f := fault.From(err)
	return &api.Error{Kind: api.Kind(f.Kind), Message: f.Message, Hint: f.Hint, Operation: f.Operation}
}

func wait(milliseconds int64) time.Duration {
	d := time.Duration(milliseconds) * time.Millisecond
	if d <= 0 || d > maxWait {
		return maxWait
	}
	return d
}
