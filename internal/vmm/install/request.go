package install

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/operation"
)

// params are the stored parameters of both kinds.
type params struct {
	ID     string `json:"id"` // names the directory that is worked in
	VMM    string `json:"vmm"`
	From   string `json:"from,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	// Stopped are the VMs that a removed VMM leaves without one.
	Stopped []string `json:"stopped,omitempty"`
}

var (
	sumForm = regexp.MustCompile(`^[0-9a-f]{64}$`)
	idForm  = regexp.MustCompile(`^[0-9a-f]{16}$`)
)

// Operations is what Install and Remove need of the operation registry.
type Operations interface {
	Begin(ctx context.Context, req operation.Request) (operation.Record, error)
	Known(ctx context.Context, kind, key string) (*operation.Record, error)
}

// Install begins to install a VMM from a file (an absolute path) or an http or
// https address, if its SHA-256 sum is this one.
func (r *Registry) Install(ctx context.Context, name, from, sum, key string, ops Operations) (operation.Record, error) {
	req, err := r.installRequest(name, from, sum, key)
	if err != nil {
		return operation.Record{}, err
	}
	return ops.Begin(ctx, req)
}

// Remove begins to remove what was installed of a VMM. What a repeated request
// has begun is known by its key, and may have removed it.
func (r *Registry) Remove(ctx context.Context, name, key string, ops Operations) (operation.Record, error) {
	if known, err := ops.Known(ctx, KindRemove, key); err != nil {
		return operation.Record{}, err
	} else if known != nil {
		return *known, nil
	}
	req, err := r.removeRequest(ctx, name, key)
	if err != nil {
		return operation.Record{}, err
	}
	return ops.Begin(ctx, req)
}

func (r *Registry) installRequest(name, from, sum, key string) (operation.Request, error) {
	if _, ok := r.product(name); !ok {
		return operation.Request{}, r.notInstallable(name)
	}
	sum = strings.ToLower(sum)
	if !sumForm.MatchString(sum) {
		return operation.Request{}, fault.New(fault.Invalid, "Give the sum that its maker publishes, with --sha256.",
			"a SHA-256 sum is 64 hexadecimal digits; nothing is installed unchecked")
	}
	if err := checkFrom(from); err != nil {
		return operation.Request{}, err
	}
	return request(KindInstall, key, params{VMM: name, From: from, SHA256: sum}), nil
}

func (r *Registry) removeRequest(ctx context.Context, name, key string) (operation.Request, error) {
	if _, ok := r.product(name); !ok {
		return operation.Request{}, r.notInstallable(name)
	}
	if _, err := currentVersion(r.home(name)); errors.Is(err, fs.ErrNotExist) {
		return operation.Request{}, fault.New(fault.NotFound, "See which there are with: banger vmm ls",
			"banger has installed no %s", name)
	} else if err != nil {
		return operation.Request{}, fmt.Errorf("looking for the installed %s: %w", name, err)
	}
	stopped, err := r.unused(ctx, name)
	if err != nil {
		return operation.Request{}, err
	}
	return request(KindRemove, key, params{VMM: name, Stopped: stopped}), nil
}

func request(kind, key string, p params) operation.Request {
	var id [8]byte
	rand.Read(id[:]) // never fails
	p.ID = hex.EncodeToString(id[:])
	return operation.Request{Kind: kind, Target: "vmm/" + p.VMM, Name: p.VMM, Key: key, Params: p}
}

func readParams(op operation.Record) (params, error) {
	var p params
	if err := json.Unmarshal(op.Params, &p); err != nil {
		return p, fmt.Errorf("reading the parameters of %s: %w", op.ID, err)
	}
	if !idForm.MatchString(p.ID) {
		return p, fmt.Errorf("the parameters of %s are damaged", op.ID)
	}
	return p, nil
}

// unused refuses a VMM that VMs run on, and names the others that stand on it.
func (r *Registry) unused(ctx context.Context, name string) (stopped []string, err error) {
	running, stopped, err := r.cfg.Users(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(running) > 0 {
		return nil, fault.New(fault.Busy, "Stop them first: banger stop "+strings.Join(running, " "),
			"%s runs %s", name, strings.Join(running, ", "))
	}
	return stopped, nil
}

func (r *Registry) notInstallable(name string) error {
	var names []string
	for _, p := range r.cfg.Products {
		names = append(names, p.Name)
	}
	hint := "Install it as a package of this system."
	if len(names) > 0 {
		hint = "It installs " + strings.Join(names, ", ") + "; others are packages of this system."
	}
	return fault.New(fault.Invalid, hint, "banger installs no VMM %q", name)
}

// checkFrom wants an absolute path or an address.
func checkFrom(from string) error {
	if !remote(from) {
		if !filepath.IsAbs(from) || strings.ContainsRune(from, 0) {
			return fault.New(fault.Invalid, "Give an absolute path, or an address that begins with http:// or https://.",
				"%q is neither a file nor an address to install from", from)
		}
		return nil
	}
	u, err := url.Parse(from)
	if err != nil || u.Host == "" {
		return fault.New(fault.Invalid, "Write it as https://HOST/PATH.", "%q is no address", from)
	}
	if u.User != nil {
		return fault.New(fault.Invalid, "Fetch it yourself, and install it from the file.",
			"an address with a name or a password in it would be kept with the operation")
	}
	return nil
}

func remote(from string) bool {
	return strings.HasPrefix(from, "http://") || strings.HasPrefix(from, "https://")
}
