package api

// Methods of the daemon. A method that starts a long action returns an
// Operation at once; wait for it with op.wait.
const (
	MethodDaemonStatus = "daemon.status" // () → DaemonStatus
	MethodDaemonStop   = "daemon.stop"   // () → Empty

	MethodVMCreateBegin  = "vm.create.begin"  // VMCreateRequest → Operation
	MethodVMCreateStatus = "vm.create.status" // OpRef → Operation
	MethodVMCreateCancel = "vm.create.cancel" // OpRef → Operation
	MethodVMStart        = "vm.start"         // VMActionRequest → Operation
	MethodVMStop         = "vm.stop"          // VMStopRequest → Operation
	MethodVMKill         = "vm.kill"          // VMActionRequest → Operation
	MethodVMDelete       = "vm.delete"        // VMDeleteRequest → Operation
	MethodVMList         = "vm.list"          // VMListRequest → VMList
	MethodVMInspect      = "vm.inspect"       // VMRef → VM
	MethodVMConnect      = "vm.connect"       // VMRef → VMEndpoint

	MethodImageBootstrapBegin  = "image.bootstrap.begin"  // ImageBootstrapRequest → Operation
	MethodImageBootstrapStatus = "image.bootstrap.status" // OpRef → Operation
	MethodImageBootstrapCancel = "image.bootstrap.cancel" // OpRef → Operation
	MethodImageList            = "image.list"             // Empty → ImageList
	MethodImageInspect         = "image.inspect"          // ImageRef → Image
	MethodImageDelete          = "image.delete"           // ImageDeleteRequest → Operation

	MethodOpList   = "op.list"   // OpListRequest → OpList
	MethodOpShow   = "op.show"   // OpRef → Operation
	MethodOpWait   = "op.wait"   // OpWaitRequest → Operation
	MethodOpCancel = "op.cancel" // OpRef → Operation

	MethodEventWatch = "event.watch" // EventWatchRequest → EventBatch
)

// Methods of a VM's monitor that a client calls on the monitor's socket (path
// from vm.connect). A stream method is the first and only call on its
// connection: after its reply the connection carries frames (docs/streams.md).
const (
	MethodExecAttach = "exec.attach" // ExecAttachRequest → ExecAttached, then frames
)

// Empty is the parameter or result of a method that has none.
type Empty struct{}
