package fakefc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/banger-vm/banger/internal/vmm/firecracker/fcapi"
)

// afterStart is the refusal of what only a configuration may do, preStart of
// what only a running instance may.
const (
	afterStart = "The requested operation is not supported after starting the microVM."
	preStart   = "The requested operation is not supported before starting the microVM."
)

// Answer is what the instance says to a call.
func (vm *instance) Answer(method, path string, body []byte) (int, string) {
	var err error
	switch {
	case method == http.MethodGet && path == "/version":
		return ok(map[string]string{"firecracker_version": vm.o.Version})
	case method == http.MethodGet && path == "/":
		vm.mu.Lock()
		defer vm.mu.Unlock()
		return ok(map[string]string{
			"id": vm.id, "state": vm.state, "vmm_version": vm.o.Version, "app_name": "Firecracker",
		})
	case method == http.MethodPut && path == "/actions":
		err = vm.act(body)
	case method == http.MethodPatch && path == "/vm":
		err = vm.setState(body)
	case method == http.MethodPatch && strings.HasPrefix(path, "/drives/"):
		err = vm.updateDrive(path, body)
	case method == http.MethodPut && path == "/snapshot/create":
		err = vm.save(body)
	case method == http.MethodPut:
		err = vm.configure(path, body)
	default:
		err = invalid(method, path)
	}
	if err != nil {
		return refuse(err.Error())
	}
	return http.StatusNoContent, ""
}

func ok(v any) (int, string) {
	b, err := json.Marshal(v)
	if err != nil {
		return refuse(err.Error())
	}
	return http.StatusOK, string(b)
}

func refuse(message string) (int, string) {
	b, _ := json.Marshal(map[string]string{"fault_message": message}) // a string always can be
	return http.StatusBadRequest, string(b)
}

// refusal is an error in the words of the real one, which begin as they like.
type refusal string

func (r refusal) Error() string { return string(r) }

func invalid(method, path string) error {
	return refusal(fmt.Sprintf("Invalid request method and/or path: %s %s.", method, strings.TrimPrefix(path, "/")))
}

// strict reads a body that has the fields of v and no others, and not none.
func strict(body []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return refusal("An error occurred when deserializing the json body of a request: " + err.Error() + ".")
	}
	return nil
}

// configure takes a setting; the last one of a path counts.
func (vm *instance) configure(path string, body []byte) error {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	var v any
	switch {
	case path == "/machine-config":
		v = &fcapi.Machine{}
	case path == "/boot-source":
		v = &fcapi.BootSource{}
	case path == "/vsock":
		v = &fcapi.Vsock{}
	case strings.HasPrefix(path, "/network-interfaces/"):
		v = &fcapi.Card{}
	case path == "/entropy":
		v = &fcapi.Entropy{}
	case strings.HasPrefix(path, "/drives/"):
		v = &fcapi.Drive{}
	default:
		return invalid(http.MethodPut, path)
	}
	if err := strict(body, v); err != nil {
		return err
	}
	if vm.state != fcapi.StateNotStarted {
		return refusal(afterStart)
	}
	if err := vm.check(path, v); err != nil {
		return err
	}
	vm.config[path] = v
	return nil
}

// check is the real one's own.
func (vm *instance) check(path string, v any) error {
	switch v := v.(type) {
	case *fcapi.Machine:
		if v.CPUs < 1 || v.CPUs > 32 {
			return refusal("Machine config error: The number of vCPUs must be greater than 0, less than 32 and must be 1 or an even number if SMT is enabled.")
		}
		if v.MemoryMiB < 1 {
			return refusal("Machine config error: The memory size (MiB) is either 0, or not a multiple of the configured page size.")
		}
	case *fcapi.BootSource:
		if _, err := os.Stat(v.Kernel); err != nil {
			return refusal("Boot source error: The kernel file cannot be opened: No such file or directory (os error 2)")
		}
		if _, err := os.Stat(v.Initramfs); err != nil && v.Initramfs != "" {
			return refusal("Boot source error: The initrd file cannot be opened due to invalid path or invalid permissions. No such file or directory (os error 2)")
		}
	case *fcapi.Drive:
		return vm.addDrive(path, v)
	case *fcapi.Vsock:
		return vm.listen(v)
	}
	return nil
}

func (vm *instance) addDrive(path string, d *fcapi.Drive) error {
	if "/drives/"+d.ID != path {
		return refusal("The id from the path does not match the id from the body!")
	}
	info, err := os.Stat(d.Path)
	if err != nil {
		return refusal("Drive config error: Unable to create the virtio block device: Virtio backend error: Error manipulating the backing file: No such file or directory (os error 2) " + d.Path)
	}
	if vm.config[path] == nil {
		vm.order = append(vm.order, d)
	}
	vm.sizes[d.ID] = info.Size()
	return nil
}

// updateDrive opens a drive's file again.
func (vm *instance) updateDrive(path string, body []byte) error {
	var u fcapi.DriveUpdate
	if err := strict(body, &u); err != nil {
		return err
	}
	if "/drives/"+u.ID != path {
		return refusal("The id from the path does not match the id from the body!")
	}
	vm.mu.Lock()
	defer vm.mu.Unlock()
	info, err := os.Stat(u.Path)
	switch {
	case vm.state == fcapi.StateNotStarted:
		return refusal(preStart)
	case vm.config[path] == nil:
		return refusal("Drive config error: Unable to patch the block device: Device manager error: Failed to find the device on the bus. Please verify the request arguments.")
	case err != nil:
		return refusal("Drive config error: Unable to patch the block device: " + err.Error())
	}
	vm.sizes[u.ID] = info.Size()
	return nil
}

// act does an action.
func (vm *instance) act(body []byte) error {
	var action struct {
		Type string `json:"action_type"`
	}
	if err := strict(body, &action); err != nil {
		return err
	}
	switch action.Type {
	case "InstanceStart":
		return vm.start()
	case "FlushMetrics":
		vm.flush()
		return nil
	}
	return refusal("An error occurred when deserializing the json body of a request: unknown variant `" + action.Type + "`.")
}

func (vm *instance) start() error {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if vm.state != fcapi.StateNotStarted {
		return refusal(afterStart)
	}
	if vm.config["/boot-source"] == nil {
		return refusal("Start microvm error: Cannot start microvm without kernel configuration.")
	}
	vm.state = fcapi.StateRunning
	vm.guest = newGuest(vm)
	go vm.guest.run()
	if vm.vsock != nil {
		go vm.guest.accept(vm.vsock)
	}
	return nil
}

// setState pauses and resumes.
func (vm *instance) setState(body []byte) error {
	var want struct {
		State string `json:"state"`
	}
	if err := strict(body, &want); err != nil {
		return err
	}
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if vm.state == fcapi.StateNotStarted {
		return refusal(preStart)
	}
	switch want.State {
	case "Paused":
		vm.state = fcapi.StatePaused
		vm.guest.gate.close()
	case "Resumed":
		vm.state = fcapi.StateRunning
		vm.guest.gate.open()
	default:
		return refusal("An error occurred when deserializing the json body of a request: unknown variant.")
	}
	return nil
}

// save writes what a snapshot leaves.
func (vm *instance) save(body []byte) error {
	var s fcapi.Snapshot
	if err := strict(body, &s); err != nil {
		return err
	}
	vm.mu.Lock()
	defer vm.mu.Unlock()
	switch vm.state {
	case fcapi.StateNotStarted:
		return refusal(preStart)
	case fcapi.StateRunning:
		return refusal("Create snapshot error: Cannot save the microVM state: Operation not allowed: save/restore unavailable while running")
	}
	for _, path := range []string{s.State, s.Memory} {
		if err := os.WriteFile(path, []byte("saved"), 0o600); err != nil {
			return refusal("Create snapshot error: " + err.Error())
		}
	}
	return nil
}
