package service

import (
	"context"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/credential"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/rpc/rpcserver"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/auth"
)

func (p Parts) authMethods() map[string]rpcserver.Handler {
	k := p.Auth
	return map[string]rpcserver.Handler{
		api.MethodVMAuthPush: rpcserver.Bind(func(ctx context.Context, r api.VMAuthPushRequest) (any, error) {
			s, err := sentFrom(r.Auth)
			if err != nil {
				return nil, err
			}
			return begun(k.Push(ctx, r.VM, s, r.Key))
		}),
		api.MethodVMAuthRemove: rpcserver.Bind(func(ctx context.Context, r api.VMAuthRemoveRequest) (any, error) {
			return begun(k.Remove(ctx, r.VM, auth.Removal{Paths: r.Paths, Git: r.Git, Keys: r.SSHKeys}, r.Key))
		}),
		api.MethodVMAuthShow: rpcserver.Bind(func(ctx context.Context, r api.VMRef) (any, error) {
			v, err := p.VMs.Inspect(ctx, r.VM)
			if err != nil {
				return nil, err
			}
			return p.authOf(v), nil
		}),
	}
}

// create, start and inspect are those of VMs, with what a user's own comes along.
func (p Parts) create(ctx context.Context, r api.VMCreateRequest) (any, error) {
	given, err := p.given(r.Auth)
	if err != nil {
		return nil, err
	}
	return begun(p.VMs.Create(ctx, specFrom(r.Spec), vm.Creation{Start: r.Start, Force: r.Force}, r.Key, given...))
}

func (p Parts) start(ctx context.Context, r api.VMStartRequest) (any, error) {
	given, err := p.given(r.Auth)
	if err != nil {
		return nil, err
	}
	return begun(p.VMs.Boot(ctx, r.VM, vm.Start{VMM: r.VMM, Force: r.Force}, r.Key, given...))
}

// given is what comes along with a request.
func (p Parts) given(a *api.Auth) ([]vm.Given, error) {
	if a == nil {
		return nil, nil
	}
	s, err := sentFrom(*a)
	return []vm.Given{p.Auth.Given(s)}, err
}

func (p Parts) inspect(ctx context.Context, r api.VMRef) (any, error) {
	v, err := p.VMs.Inspect(ctx, r.VM)
	if err != nil {
		return nil, err
	}
	out := vmFrom(v)
	a := p.authOf(v)
	if a.Git != nil || len(a.SSHKeys)+len(a.Files)+len(a.Problems) > 0 || a.Off {
		out.Auth = &a
	}
	return out, nil
}

func (p Parts) authOf(v vm.View) api.VMAuth {
	has := p.Auth.Of(v)
	out := api.VMAuth{SSHKeys: has.Keys, Off: has.Off, Problems: has.Problems}
	if has.Git != nil {
		out.Git = &api.GitIdentity{Name: has.Git.Name, Email: has.Git.Email}
	}
	for _, f := range has.Files {
		out.Files = append(out.Files, api.CredentialInfo{Path: f.Path, Mode: f.Mode, Size: f.Size, State: f.State})
	}
	return out
}

func sentFrom(a api.Auth) (auth.Sent, error) {
	s := auth.Sent{Off: a.Off, Set: credential.Set{Keys: a.SSHKeys}}
	if a.Git != nil {
		s.Git = &credential.Git{Name: a.Git.Name, Email: a.Git.Email}
	}
	for _, f := range a.Files {
		if f.Mode == 0 {
			f.Mode = credential.DefaultMode
		}
		s.Files = append(s.Files, credential.File{Path: f.Path, Mode: f.Mode, Data: f.Data})
	}
	if err := s.Check(); err != nil {
		return s, fault.New(fault.Invalid, "", "what the VM is to be given is not right: %w", err)
	}
	return s, nil
}
