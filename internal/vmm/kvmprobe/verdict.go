package kvmprobe

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/vmm"
)

// verdict is what a probe found out about KVM.
type verdict struct {
	Key    string `json:"key"`
	Reason string `json:"reason"` // "" works
	// Isolation is that of the guest which was tried.
	Isolation vmm.Isolation `json:"isolation,omitempty"`
	At        time.Time     `json:"at"`
}

var cpuModel = regexp.MustCompile(`(?m)^(?:model name|microcode|flags)\s*:.*$`)

// verdictKey changes with all that the verdict depends on: the guest's kernel,
// the host's kernel and processor, and the VMM. Files count by inode, size and
// time: to read 50 MB each time would cost more than it proves.
func verdictKey(binary, kernel string) (string, error) {
	sum := sha256.New()
	for _, path := range []string{binary, kernel} {
		id, err := FileIdentity(path)
		if err != nil {
			return "", fmt.Errorf("looking at %s: %w", path, err)
		}
		fmt.Fprintln(sum, id)
	}
	var host unix.Utsname
	if err := unix.Uname(&host); err != nil {
		return "", fmt.Errorf("asking for the host kernel's release: %w", err)
	}
	fmt.Fprintln(sum, unix.ByteSliceToString(host.Release[:]), unix.ByteSliceToString(host.Version[:]))
	cpu, err := os.ReadFile(cpuinfo)
	if err != nil {
		return "", fmt.Errorf("looking at the processor: %w", err)
	}
	for _, line := range cpuModel.FindAll(cpu, 3) { // of the first processor
		fmt.Fprintf(sum, "%s\n", line)
	}
	return hex.EncodeToString(sum.Sum(nil)[:16]), nil
}

func (p *Prober) verdictFile(key string) string {
	return filepath.Join(p.cacheDir, "kvm-"+key+".json")
}

// refusalAge is how long a verdict against KVM is good: the host may only have
// been too busy, or another user of KVM in the way.
const refusalAge = time.Hour

func (v verdict) stale() bool { return v.Reason != "" && time.Since(v.At) > refusalAge }

// knownVerdict looks in this process, then in the cache. A damaged file is
// no verdict.
func (p *Prober) knownVerdict(key string) (verdict, bool) {
	p.mu.Lock()
	v, ok := p.verdicts[key]
	p.mu.Unlock()
	if ok && !v.stale() {
		return v, true
	}
	if p.cacheDir == "" {
		return verdict{}, false
	}
	b, err := os.ReadFile(p.verdictFile(key))
	if err != nil || json.Unmarshal(b, &v) != nil || v.Key != key || v.stale() {
		return verdict{}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.verdicts[key] = v
	return v, true
}

// keepVerdict keeps v for this process and, with a cache, for later ones.
func (p *Prober) keepVerdict(v verdict) error {
	p.mu.Lock()
	p.verdicts[v.Key] = v
	p.mu.Unlock()
	if p.cacheDir == "" {
		return nil
	}
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(p.cacheDir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(p.cacheDir, ".kvm-")
	if err != nil {
		return err
	}
	_, err = tmp.Write(append(b, '\n'))
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), p.verdictFile(v.Key))
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}

// Verdict is what was found out about KVM, as the cache has it.
type Verdict struct {
	Reason string // "" works
	At     time.Time
	File   string // that holds it
}

// Known is the verdict in a cache on guests with this kernel and the VMM at
// binary; ok is false where there is none that still counts. Nothing is tried.
func Known(cacheDir, binary, kernel string) (v Verdict, ok bool, err error) {
	key, err := verdictKey(binary, kernel)
	if err != nil {
		return Verdict{}, false, err
	}
	p := New("", cacheDir, nil, nil)
	known, ok := p.knownVerdict(key)
	return Verdict{Reason: known.Reason, At: known.At, File: p.verdictFile(key)}, ok, nil
}
