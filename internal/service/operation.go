package service

import (
	"context"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/rpc/rpcserver"
)

func (p Parts) operationMethods() map[string]rpcserver.Handler {
	ops := p.Operations
	show := rpcserver.Bind(func(ctx context.Context, r api.OpRef) (any, error) { return begun(ops.Get(ctx, r.ID)) })
	cancel := rpcserver.Bind(func(ctx context.Context, r api.OpRef) (any, error) { return begun(ops.Cancel(ctx, r.ID)) })
	return map[string]rpcserver.Handler{
		api.MethodOpShow:               show,
		api.MethodVMCreateStatus:       show,
		api.MethodImageBootstrapStatus: show,
		api.MethodKernelImportStatus:   show,
		api.MethodKernelImportCancel:   cancel,
		api.MethodVMMInstallStatus:     show,
		api.MethodVMMInstallCancel:     cancel,
		api.MethodOpCancel:             cancel,
		api.MethodVMCreateCancel:       cancel,
		api.MethodImageBootstrapCancel: cancel,
		api.MethodOpWait: rpcserver.Bind(func(ctx context.Context, r api.OpWaitRequest) (any, error) {
			if r.Ended {
				return begun(ops.Ended(ctx, r.ID, wait(r.WaitMS)))
			}
			return begun(ops.Changed(ctx, r.ID, wait(r.WaitMS)))
		}),
		api.MethodOpList: rpcserver.Bind(func(ctx context.Context, r api.OpListRequest) (any, error) {
			records, err := ops.List(ctx, r.All)
			list := api.OpList{Operations: make([]api.Operation, len(records))}
			for i, rec := range records {
				list.Operations[i] = operationFrom(rec)
				list.Operations[i].Steps = nil
			}
			return list, err
		}),
		api.MethodEventWatch: rpcserver.Bind(func(ctx context.Context, r api.EventWatchRequest) (any, error) { return p.watchEvents(ctx, r) }),
	}
}

// begin begins what could be made a request.
func (p Parts) begin(ctx context.Context, req operation.Request, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return begun(p.Operations.Begin(ctx, req))
}

func operationFrom(r operation.Record) api.Operation {
	op := api.Operation{
		ID: r.ID, Kind: r.Kind, Target: r.Target, Name: r.Name, State: api.OpState(r.State),
		Progress: api.Progress(r.Progress),
		Result:   r.Result, StartedAt: r.StartedAt, EndedAt: r.EndedAt, Resumed: r.Resumed,
	}
	if e := r.Error; e != nil {
		op.Error = &api.Error{Kind: api.Kind(e.Kind), Message: e.Message, Hint: e.Hint, Operation: r.ID}
	}
	for _, s := range r.Steps {
		op.Steps = append(op.Steps, api.OpStep{Name: s.Name, State: string(s.State), MS: s.MS})
	}
	return op
}

func (p Parts) watchEvents(ctx context.Context, r api.EventWatchRequest) (any, error) {
	events, last, gap, err := p.Events.Since(ctx, r.Since, r.Target, wait(r.WaitMS))
	if err != nil {
		return nil, err
	}
	out := api.EventBatch{Events: make([]api.Event, len(events)), Last: last, Gap: gap}
	for i, e := range events {
		out.Events[i] = api.Event{Seq: e.Seq, Time: e.Time, Type: e.Type, Target: e.Target, Name: e.Name, Message: e.Message}
		if rec, ok := e.Data.(operation.Record); ok {
			op := operationFrom(rec)
			out.Events[i].Operation = &op
		}
	}
	return out, nil
}
