package api

// Methods of the daemon; Methods says what each takes and returns. A method
// that starts a long action returns an Operation at once; wait for it with
// op.wait.
const (
	MethodDaemonStatus = "daemon.status"
	MethodDaemonInfo   = "daemon.info"
	MethodDaemonStop   = "daemon.stop"

	MethodVMCreateBegin  = "vm.create.begin"
	MethodVMCreateStatus = "vm.create.status"
	MethodVMCreateCancel = "vm.create.cancel"
	MethodVMStart        = "vm.start"
	MethodVMStop         = "vm.stop"
	MethodVMRestart      = "vm.restart"
	MethodVMPause        = "vm.pause"
	MethodVMResume       = "vm.resume"
	MethodVMRename       = "vm.rename"
	MethodVMSet          = "vm.set"
	MethodVMReset        = "vm.reset"
	MethodVMKill         = "vm.kill"
	MethodVMDelete       = "vm.delete"
	MethodVMList         = "vm.list"
	MethodVMInspect      = "vm.inspect"
	MethodVMSSH          = "vm.ssh"
	MethodVMConnect      = "vm.connect"
	MethodVMLogs         = "vm.logs"
	MethodVMPing         = "vm.ping"
	MethodVMHealth       = "vm.health"
	MethodVMStats        = "vm.stats"

	MethodVMForwardAdd    = "vm.forward.add"
	MethodVMForwardRemove = "vm.forward.remove"
	MethodVMPorts         = "vm.ports"

	MethodVMAuthPush   = "vm.auth.push"
	MethodVMAuthRemove = "vm.auth.remove"
	MethodVMAuthShow   = "vm.auth.show"

	MethodImageBootstrapBegin  = "image.bootstrap.begin"
	MethodImageBootstrapStatus = "image.bootstrap.status"
	MethodImageBootstrapCancel = "image.bootstrap.cancel"
	MethodImageList            = "image.list"
	MethodImageInspect         = "image.inspect"
	MethodImageDelete          = "image.delete"

	MethodKernelImportBegin  = "kernel.import.begin"
	MethodKernelImportStatus = "kernel.import.status"
	MethodKernelImportCancel = "kernel.import.cancel"
	MethodKernelList         = "kernel.list"
	MethodKernelInspect      = "kernel.inspect"
	MethodKernelDelete       = "kernel.delete"

	MethodVMMList          = "vmm.list"
	MethodVMMInstallBegin  = "vmm.install.begin"
	MethodVMMInstallStatus = "vmm.install.status"
	MethodVMMInstallCancel = "vmm.install.cancel"
	MethodVMMRemove        = "vmm.remove"

	MethodOpList   = "op.list"
	MethodOpShow   = "op.show"
	MethodOpWait   = "op.wait"
	MethodOpCancel = "op.cancel"

	MethodEventWatch = "event.watch"
)

// Methods of a VM's monitor that a client calls on the monitor's socket (path
// from vm.connect). A stream method is the first and only call on its
// connection: after its reply the connection carries frames.
const (
	MethodExecAttach = "exec.attach"
	MethodDialOpen   = "dial.open"
	MethodFilesPut   = "files.put"
	MethodFilesGet   = "files.get"

	MethodConsoleAttach = "console.attach"
)

// Empty is the parameter or result of a method that has none.
type Empty struct{}

// Server says which process answers a method.
type Server string

// The servers.
const (
	ServerDaemon  Server = "daemon"
	ServerMonitor Server = "monitor" // of one VM; its socket comes from vm.connect
)

// Method describes a method.
type Method struct {
	Name    string
	Server  Server
	Stream  bool // frames follow the reply
	Params  any  // a zero value of the type
	Result  any  // a zero value of the type
	Summary string
}

// Methods describes every method. The reference docs/rpc.md and the output of
// "banger rpc schema" are made from it.
func Methods() []Method {
	op := Operation{}
	return []Method{
		{MethodDaemonStatus, ServerDaemon, false, Empty{}, DaemonStatus{}, "Describe the daemon."},
		{MethodDaemonInfo, ServerDaemon, false, Empty{}, HostInfo{}, "Say what this host has, and what of it VMs may take."},
		{MethodDaemonStop, ServerDaemon, false, Empty{}, Empty{}, "End the daemon; VMs run on."},

		{MethodVMCreateBegin, ServerDaemon, false, VMCreateRequest{}, op, "Begin to make a VM, and to start it if asked; the result is {id, weaker}: sentences on what is weaker because of its kernel."},
		{MethodVMCreateStatus, ServerDaemon, false, OpRef{}, op, "Show the state of a create."},
		{MethodVMCreateCancel, ServerDaemon, false, OpRef{}, op, "Cancel a create and undo it."},
		{MethodVMStart, ServerDaemon, false, VMStartRequest{}, op, "Begin to start a VM; a running one is success."},
		{MethodVMStop, ServerDaemon, false, VMStopRequest{}, op, "Begin to stop a VM gracefully; a stopped one is success."},
		{MethodVMRestart, ServerDaemon, false, VMStopRequest{}, op, "Begin to stop a VM gracefully and to start it again; a stopped one is started."},
		{MethodVMPause, ServerDaemon, false, VMActionRequest{}, op, "Begin to stop a running VM's processors; a VM that a user has paused is success."},
		{MethodVMResume, ServerDaemon, false, VMActionRequest{}, op, "Begin to let a paused VM go on; a running one is success."},
		{MethodVMRename, ServerDaemon, false, VMRenameRequest{}, op, "Begin to give a VM another name, running or not; the result is {id, name}. Its guest's host name follows at its next start."},
		{MethodVMSet, ServerDaemon, false, VMSetRequest{}, op, "Begin to change a VM, running or not; the result is {id, changed, pending}: names of fields, and which of them it has from its next start on."},
		{MethodVMReset, ServerDaemon, false, VMResetRequest{}, op, "Begin to drop all that was written to a VM's root; its work disk and its identity stay."},
		{MethodVMKill, ServerDaemon, false, VMActionRequest{}, op, "Begin to end a VM at once."},
		{MethodVMDelete, ServerDaemon, false, VMDeleteRequest{}, op, "Begin to remove a VM and all that belongs to it."},
		{MethodVMList, ServerDaemon, false, VMListRequest{}, VMList{}, "List VMs by name."},
		{MethodVMInspect, ServerDaemon, false, VMRef{}, VM{}, "Show a VM."},
		{MethodVMSSH, ServerDaemon, false, VMSSHRequest{}, VMSSH{}, "Say how OpenSSH reaches VMs."},
		{MethodVMConnect, ServerDaemon, false, VMConnectRequest{}, VMEndpoint{}, "Say where a running VM's monitor answers, or that of one on the way."},
		{MethodVMLogs, ServerDaemon, false, VMLogsRequest{}, VMLogs{}, "Return what a VM's guest said on its console, of a running VM or not."},
		{MethodVMPing, ServerDaemon, false, VMAskRequest{}, VMPong{}, "Say whether a running VM's guest answers, and how soon."},
		{MethodVMHealth, ServerDaemon, false, VMAskRequest{}, VMHealth{}, "Say how a running VM's guest is, by its own word."},
		{MethodVMStats, ServerDaemon, false, VMStatsRequest{}, VMStatsList{}, "Say what VMs take and do: those that are named, or all that run. One that hangs keeps the others from nothing."},

		{MethodVMForwardAdd, ServerDaemon, false, VMForwardAddRequest{}, op, "Begin to lead ports of the host to ports of a VM."},
		{MethodVMForwardRemove, ServerDaemon, false, VMForwardRemoveRequest{}, op, "Begin to take forwards of a VM away."},
		{MethodVMPorts, ServerDaemon, false, VMRef{}, VMPorts{}, "List what listens in a running VM, and what leads there."},

		{MethodVMAuthPush, ServerDaemon, false, VMAuthPushRequest{}, op, "Begin to give a VM what is its user's own."},
		{MethodVMAuthRemove, ServerDaemon, false, VMAuthRemoveRequest{}, op, "Begin to take away what a VM was given of its user's own."},
		{MethodVMAuthShow, ServerDaemon, false, VMRef{}, VMAuth{}, "Say what a VM was given of its user's own, without any content."},

		{MethodImageBootstrapBegin, ServerDaemon, false, ImageBootstrapRequest{}, op, "Begin to make an image from the host's packages."},
		{MethodImageBootstrapStatus, ServerDaemon, false, OpRef{}, op, "Show the state of a bootstrap."},
		{MethodImageBootstrapCancel, ServerDaemon, false, OpRef{}, op, "Cancel a bootstrap and undo it."},
		{MethodImageList, ServerDaemon, false, Empty{}, ImageList{}, "List images by name."},
		{MethodImageInspect, ServerDaemon, false, ImageRef{}, Image{}, "Show an image."},
		{MethodImageDelete, ServerDaemon, false, ImageDeleteRequest{}, op, "Begin to remove an image that no VM stands on."},

		{MethodKernelImportBegin, ServerDaemon, false, KernelImportRequest{}, op, "Begin to make a kernel of files of the daemon's host."},
		{MethodKernelImportStatus, ServerDaemon, false, OpRef{}, op, "Show the state of an import."},
		{MethodKernelImportCancel, ServerDaemon, false, OpRef{}, op, "Cancel an import and undo it."},
		{MethodKernelList, ServerDaemon, false, Empty{}, KernelList{}, "List kernels by name."},
		{MethodKernelInspect, ServerDaemon, false, KernelRef{}, Kernel{}, "Show a kernel."},
		{MethodKernelDelete, ServerDaemon, false, KernelDeleteRequest{}, op, "Begin to remove a kernel that no VM runs on."},

		{MethodVMMList, ServerDaemon, false, VMMListRequest{}, VMMList{}, "List the VMMs of this host and what works with them."},
		{MethodVMMInstallBegin, ServerDaemon, false, VMMInstallRequest{}, op, "Begin to install a VMM; the result is {id, version}."},
		{MethodVMMInstallStatus, ServerDaemon, false, OpRef{}, op, "Show the state of an installation."},
		{MethodVMMInstallCancel, ServerDaemon, false, OpRef{}, op, "Cancel an installation and undo it."},
		{MethodVMMRemove, ServerDaemon, false, VMMRemoveRequest{}, op, "Begin to remove an installed VMM; the result is {id, stopped}: the VMs that cannot start on it any more."},

		{MethodOpList, ServerDaemon, false, OpListRequest{}, OpList{}, "List operations, newest first."},
		{MethodOpShow, ServerDaemon, false, OpRef{}, op, "Show an operation with its steps."},
		{MethodOpWait, ServerDaemon, false, OpWaitRequest{}, op, "Wait for an operation to end, or for its progress to change."},
		{MethodOpCancel, ServerDaemon, false, OpRef{}, op, "Cancel an operation and undo it."},

		{MethodEventWatch, ServerDaemon, false, EventWatchRequest{}, EventBatch{}, "Return the events after a sequence number, waiting for the next if there is none."},

		{MethodExecAttach, ServerMonitor, true, ExecAttachRequest{}, ExecAttached{}, "Start a command in the guest or attach to it again."},
		{MethodDialOpen, ServerMonitor, true, DialOpenRequest{}, ExecAttached{}, "Connect to an address in the guest, or attach to the connection again."},
		{MethodFilesPut, ServerMonitor, true, FilesPutRequest{}, ExecAttached{}, "Put files into the guest, or attach to that again."},
		{MethodFilesGet, ServerMonitor, true, FilesGetRequest{}, ExecAttached{}, "Get files from the guest, or attach to that again."},
		{MethodConsoleAttach, ServerMonitor, true, ConsoleAttachRequest{}, ExecAttached{}, "Sit down at the VM's serial console."},
	}
}
