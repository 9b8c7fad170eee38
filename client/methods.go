package client

import (
	"context"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/stream"
)

// Protocols are the versions of the protocols that this package speaks.
func Protocols() api.Protocols {
	return api.Protocols{API: api.ProtocolVersion, Stream: stream.Version}
}

// DaemonInfo says what the daemon's host has, and what of it VMs may take.
func (c *Client) DaemonInfo(ctx context.Context) (api.HostInfo, error) {
	return get[api.HostInfo](ctx, c, api.MethodDaemonInfo, api.Empty{})
}

// DaemonStatus describes the daemon.
func (c *Client) DaemonStatus(ctx context.Context) (api.DaemonStatus, error) {
	return get[api.DaemonStatus](ctx, c, api.MethodDaemonStatus, api.Empty{})
}

// DaemonStop makes the daemon end; its VMs run on. It is never repeated on a
// daemon that came back.
func (c *Client) DaemonStop(ctx context.Context) error {
	return c.try(ctx, api.MethodDaemonStop, api.Empty{}, nil)
}

// VMCreateBegin begins to make a VM.
func (c *Client) VMCreateBegin(ctx context.Context, req api.VMCreateRequest) (api.Operation, error) {
	req.Key = key(req.Key)
	return get[api.Operation](ctx, c, api.MethodVMCreateBegin, req)
}

// VMCreateStatus returns the state of a create.
func (c *Client) VMCreateStatus(ctx context.Context, id string) (api.Operation, error) {
	return get[api.Operation](ctx, c, api.MethodVMCreateStatus, api.OpRef{ID: id})
}

// VMCreateCancel cancels a create: what it did is undone, unless the VM was whole
// already; then only its start is.
func (c *Client) VMCreateCancel(ctx context.Context, id string) (api.Operation, error) {
	return get[api.Operation](ctx, c, api.MethodVMCreateCancel, api.OpRef{ID: id})
}

// VMStart begins to start a VM; a running one is success.
func (c *Client) VMStart(ctx context.Context, req api.VMStartRequest) (api.Operation, error) {
	req.Key = key(req.Key)
	return get[api.Operation](ctx, c, api.MethodVMStart, req)
}

// VMStop begins to stop a VM gracefully; a stopped one is success.
func (c *Client) VMStop(ctx context.Context, req api.VMStopRequest) (api.Operation, error) {
	req.Key = key(req.Key)
	return get[api.Operation](ctx, c, api.MethodVMStop, req)
}

// VMRestart begins to stop a VM gracefully and to start it again; a stopped one
// is started.
func (c *Client) VMRestart(ctx context.Context, req api.VMStopRequest) (api.Operation, error) {
	req.Key = key(req.Key)
	return get[api.Operation](ctx, c, api.MethodVMRestart, req)
}

// VMPause begins to stop a running VM's processors; a VM that a user has paused
// is success.
func (c *Client) VMPause(ctx context.Context, req api.VMActionRequest) (api.Operation, error) {
	req.Key = key(req.Key)
	return get[api.Operation](ctx, c, api.MethodVMPause, req)
}

// VMResume begins to let a paused VM go on; a running one is success.
func (c *Client) VMResume(ctx context.Context, req api.VMActionRequest) (api.Operation, error) {
	req.Key = key(req.Key)
	return get[api.Operation](ctx, c, api.MethodVMResume, req)
}

// VMRename begins to give a VM another name; its guest's host name follows at
// its next start.
func (c *Client) VMRename(ctx context.Context, req api.VMRenameRequest) (api.Operation, error) {
	req.Key = key(req.Key)
	return get[api.Operation](ctx, c, api.MethodVMRename, req)
}

// VMSet begins to change a VM; what a running one cannot be given it has from
// its next start on.
func (c *Client) VMSet(ctx context.Context, req api.VMSetRequest) (api.Operation, error) {
	req.Key = key(req.Key)
	return get[api.Operation](ctx, c, api.MethodVMSet, req)
}

// VMReset begins to drop all that was written to a VM's root.
func (c *Client) VMReset(ctx context.Context, req api.VMResetRequest) (api.Operation, error) {
	req.Key = key(req.Key)
	return get[api.Operation](ctx, c, api.MethodVMReset, req)
}

// VMKill begins to end a VM at once.
func (c *Client) VMKill(ctx context.Context, req api.VMActionRequest) (api.Operation, error) {
	req.Key = key(req.Key)
	return get[api.Operation](ctx, c, api.MethodVMKill, req)
}

// VMDelete begins to remove a VM and all that belongs to it.
func (c *Client) VMDelete(ctx context.Context, req api.VMDeleteRequest) (api.Operation, error) {
	req.Key = key(req.Key)
	return get[api.Operation](ctx, c, api.MethodVMDelete, req)
}

// VMList lists VMs by name.
func (c *Client) VMList(ctx context.Context, req api.VMListRequest) ([]api.VM, error) {
	list, err := get[api.VMList](ctx, c, api.MethodVMList, req)
	return present(list.VMs), err
}

// VMInspect returns a VM.
func (c *Client) VMInspect(ctx context.Context, vm string) (api.VM, error) {
	return get[api.VM](ctx, c, api.MethodVMInspect, api.VMRef{VM: vm})
}

// VMSSH returns how OpenSSH reaches VMs; vm may be empty.
func (c *Client) VMSSH(ctx context.Context, vm string) (api.VMSSH, error) {
	return get[api.VMSSH](ctx, c, api.MethodVMSSH, api.VMSSHRequest{VM: vm})
}

// VMConnect returns where a running VM's monitor answers.
func (c *Client) VMConnect(ctx context.Context, vm string) (api.VMEndpoint, error) {
	return get[api.VMEndpoint](ctx, c, api.MethodVMConnect, api.VMConnectRequest{VM: vm})
}

// VMPing asks a running VM's guest for a sign of life. One that is not there in
// time is deadline_exceeded, one that does not answer yet unavailable.
func (c *Client) VMPing(ctx context.Context, req api.VMAskRequest) (api.VMPong, error) {
	return get[api.VMPong](ctx, c, api.MethodVMPing, req)
}

// VMHealth returns how a running VM's guest is, with the errors of VMPing.
func (c *Client) VMHealth(ctx context.Context, req api.VMAskRequest) (api.VMHealth, error) {
	return get[api.VMHealth](ctx, c, api.MethodVMHealth, req)
}

// VMStats returns what VMs take and do: those of the request, or all that run.
func (c *Client) VMStats(ctx context.Context, req api.VMStatsRequest) ([]api.VMStats, error) {
	list, err := get[api.VMStatsList](ctx, c, api.MethodVMStats, req)
	return present(list.VMs), err
}

// VMForwardAdd begins to add forwards to a VM.
func (c *Client) VMForwardAdd(ctx context.Context, req api.VMForwardAddRequest) (api.Operation, error) {
	req.Key = key(req.Key)
	return get[api.Operation](ctx, c, api.MethodVMForwardAdd, req)
}

// VMForwardRemove begins to take forwards of a VM away.
func (c *Client) VMForwardRemove(ctx context.Context, req api.VMForwardRemoveRequest) (api.Operation, error) {
	req.Key = key(req.Key)
	return get[api.Operation](ctx, c, api.MethodVMForwardRemove, req)
}

// VMPorts lists what listens in a running VM, and what leads there.
func (c *Client) VMPorts(ctx context.Context, vm string) (api.VMPorts, error) {
	ports, err := get[api.VMPorts](ctx, c, api.MethodVMPorts, api.VMRef{VM: vm})
	ports.Listeners, ports.Forwards = present(ports.Listeners), present(ports.Forwards)
	return ports, err
}

// VMAuthPush begins to give a VM what is its user's own.
func (c *Client) VMAuthPush(ctx context.Context, req api.VMAuthPushRequest) (api.Operation, error) {
	req.Key = key(req.Key)
	return get[api.Operation](ctx, c, api.MethodVMAuthPush, req)
}

// VMAuthRemove begins to take away what a VM was given of its user's own.
func (c *Client) VMAuthRemove(ctx context.Context, req api.VMAuthRemoveRequest) (api.Operation, error) {
	req.Key = key(req.Key)
	return get[api.Operation](ctx, c, api.MethodVMAuthRemove, req)
}

// VMAuthShow returns what a VM was given of its user's own, without any content.
func (c *Client) VMAuthShow(ctx context.Context, vm string) (api.VMAuth, error) {
	return get[api.VMAuth](ctx, c, api.MethodVMAuthShow, api.VMRef{VM: vm})
}

// ImageBootstrapBegin begins to make an image from the host's packages.
func (c *Client) ImageBootstrapBegin(ctx context.Context, req api.ImageBootstrapRequest) (api.Operation, error) {
	req.Key = key(req.Key)
	return get[api.Operation](ctx, c, api.MethodImageBootstrapBegin, req)
}

// ImageBootstrapStatus returns the state of a bootstrap.
func (c *Client) ImageBootstrapStatus(ctx context.Context, id string) (api.Operation, error) {
	return get[api.Operation](ctx, c, api.MethodImageBootstrapStatus, api.OpRef{ID: id})
}

// ImageBootstrapCancel cancels a bootstrap, which is then undone.
func (c *Client) ImageBootstrapCancel(ctx context.Context, id string) (api.Operation, error) {
	return get[api.Operation](ctx, c, api.MethodImageBootstrapCancel, api.OpRef{ID: id})
}

// ImageList lists images by name.
func (c *Client) ImageList(ctx context.Context) ([]api.Image, error) {
	list, err := get[api.ImageList](ctx, c, api.MethodImageList, api.Empty{})
	return present(list.Images), err
}

// ImageInspect returns an image.
func (c *Client) ImageInspect(ctx context.Context, image string) (api.Image, error) {
	return get[api.Image](ctx, c, api.MethodImageInspect, api.ImageRef{Image: image})
}

// ImageDelete begins to remove an image that no VM stands on.
func (c *Client) ImageDelete(ctx context.Context, req api.ImageDeleteRequest) (api.Operation, error) {
	req.Key = key(req.Key)
	return get[api.Operation](ctx, c, api.MethodImageDelete, req)
}

// KernelImportBegin begins to make a kernel of files of the daemon's host.
func (c *Client) KernelImportBegin(ctx context.Context, req api.KernelImportRequest) (api.Operation, error) {
	req.Key = key(req.Key)
	return get[api.Operation](ctx, c, api.MethodKernelImportBegin, req)
}

// KernelImportStatus returns the state of an import.
func (c *Client) KernelImportStatus(ctx context.Context, id string) (api.Operation, error) {
	return get[api.Operation](ctx, c, api.MethodKernelImportStatus, api.OpRef{ID: id})
}

// KernelImportCancel cancels an import, which is then undone.
func (c *Client) KernelImportCancel(ctx context.Context, id string) (api.Operation, error) {
	return get[api.Operation](ctx, c, api.MethodKernelImportCancel, api.OpRef{ID: id})
}

// KernelList lists kernels by name.
func (c *Client) KernelList(ctx context.Context) ([]api.Kernel, error) {
	list, err := get[api.KernelList](ctx, c, api.MethodKernelList, api.Empty{})
	return present(list.Kernels), err
}

// KernelInspect returns a kernel.
func (c *Client) KernelInspect(ctx context.Context, kernel string) (api.Kernel, error) {
	return get[api.Kernel](ctx, c, api.MethodKernelInspect, api.KernelRef{Kernel: kernel})
}

// KernelDelete begins to remove a kernel that no VM runs on.
func (c *Client) KernelDelete(ctx context.Context, req api.KernelDeleteRequest) (api.Operation, error) {
	req.Key = key(req.Key)
	return get[api.Operation](ctx, c, api.MethodKernelDelete, req)
}

// VMMList lists the VMMs of the daemon's host, in the order in which they are
// chosen.
func (c *Client) VMMList(ctx context.Context, req api.VMMListRequest) ([]api.VMM, error) {
	list, err := get[api.VMMList](ctx, c, api.MethodVMMList, req)
	return present(list.VMMs), err
}

// VMMInstallBegin begins to install a VMM.
func (c *Client) VMMInstallBegin(ctx context.Context, req api.VMMInstallRequest) (api.Operation, error) {
	req.Key = key(req.Key)
	return get[api.Operation](ctx, c, api.MethodVMMInstallBegin, req)
}

// VMMInstallStatus returns the state of an installation.
func (c *Client) VMMInstallStatus(ctx context.Context, id string) (api.Operation, error) {
	return get[api.Operation](ctx, c, api.MethodVMMInstallStatus, api.OpRef{ID: id})
}

// VMMInstallCancel cancels an installation, which is then undone.
func (c *Client) VMMInstallCancel(ctx context.Context, id string) (api.Operation, error) {
	return get[api.Operation](ctx, c, api.MethodVMMInstallCancel, api.OpRef{ID: id})
}

// VMMRemove begins to remove an installed VMM that no VM runs on.
func (c *Client) VMMRemove(ctx context.Context, req api.VMMRemoveRequest) (api.Operation, error) {
	req.Key = key(req.Key)
	return get[api.Operation](ctx, c, api.MethodVMMRemove, req)
}

// OpList lists operations, newest first.
func (c *Client) OpList(ctx context.Context, req api.OpListRequest) ([]api.Operation, error) {
	list, err := get[api.OpList](ctx, c, api.MethodOpList, req)
	return present(list.Operations), err
}

// OpShow returns an operation with its steps.
func (c *Client) OpShow(ctx context.Context, id string) (api.Operation, error) {
	return get[api.Operation](ctx, c, api.MethodOpShow, api.OpRef{ID: id})
}

// OpWait waits once for an operation to end or to get on; see WaitOperation.
func (c *Client) OpWait(ctx context.Context, req api.OpWaitRequest) (api.Operation, error) {
	return get[api.Operation](ctx, c, api.MethodOpWait, req)
}

// OpCancel cancels an operation: what it did is undone, but for what it keeps. One
// that has destroyed something already is not cancelled: failed_precondition.
func (c *Client) OpCancel(ctx context.Context, id string) (api.Operation, error) {
	return get[api.Operation](ctx, c, api.MethodOpCancel, api.OpRef{ID: id})
}

// EventWatch asks once for events; see Events.
func (c *Client) EventWatch(ctx context.Context, req api.EventWatchRequest) (api.EventBatch, error) {
	return get[api.EventBatch](ctx, c, api.MethodEventWatch, req)
}

// present makes an empty list of none, so that it is [] in JSON.
func present[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
