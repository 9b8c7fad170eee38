package cli

import (
	"slices"
	"strings"

	"github.com/banger-vm/banger/api"
)

// give gives a VM what comes with a request: what is in it takes the place of
// what was there, the first file "given", another one not.
func (f *fake) give(vm *api.VM, a *api.Auth) {
	if a == nil {
		return
	}
	if vm.Auth == nil {
		vm.Auth = &api.VMAuth{}
	}
	has := vm.Auth
	if has.Off = a.Off || has.Off && a.Git == nil && a.SSHKeys == nil; a.Off {
		*has = api.VMAuth{Off: true}
	}
	if a.Git != nil {
		if has.Git = a.Git; *a.Git == (api.GitIdentity{}) {
			has.Git = nil
		}
	}
	if a.SSHKeys != nil {
		has.SSHKeys = a.SSHKeys
	}
	for _, file := range a.Files {
		state := "given"
		if strings.HasSuffix(file.Path, ".own") {
			state = "there is one of the guest's own, which stays\x1b"
		}
		has.Files = slices.DeleteFunc(has.Files, func(i api.CredentialInfo) bool { return i.Path == file.Path })
		has.Files = append(has.Files, api.CredentialInfo{Path: file.Path, Mode: file.Mode, Size: len(file.Data), State: state})
	}
}

func (f *fake) pushAuth(r api.VMAuthPushRequest) (api.Operation, error) {
	vm, err := f.find(r.VM)
	if err != nil {
		return api.Operation{}, err
	}
	return f.begin("vm.auth.push", vm.Name, false, func() string { f.give(vm, &r.Auth); return vm.ID }), nil
}

func (f *fake) removeAuth(r api.VMAuthRemoveRequest) (api.Operation, error) {
	vm, err := f.find(r.VM)
	if err != nil {
		return api.Operation{}, err
	}
	if vm.Auth != nil && r.Git {
		vm.Auth.Git = nil
	}
	if vm.Auth != nil && r.SSHKeys {
		vm.Auth.SSHKeys = nil
	}
	if len(r.Paths) == 0 && !r.Git && !r.SSHKeys {
		vm.Auth = &api.VMAuth{Off: true}
	}
	for _, path := range r.Paths {
		at := -1
		if vm.Auth != nil {
			at = slices.IndexFunc(vm.Auth.Files, func(i api.CredentialInfo) bool { return i.Path == path })
		}
		if at < 0 {
			return api.Operation{}, api.NewError(api.KindNotFound, "the VM "+vm.Name+" was not given "+path, "See what it has with: banger auth ls "+vm.Name)
		}
		vm.Auth.Files = slices.Delete(vm.Auth.Files, at, at+1)
	}
	return f.begin("vm.auth.remove", vm.Name, false, func() string { return vm.ID }), nil
}

// showAuth: the VM "leaving" goes just before it is asked about.
func (f *fake) showAuth(r api.VMRef) (api.VMAuth, error) {
	if r.VM == "leaving" {
		delete(f.vms, r.VM)
	}
	vm, err := f.find(r.VM)
	if err != nil || vm.Auth == nil {
		return api.VMAuth{}, err
	}
	return *vm.Auth, nil
}
