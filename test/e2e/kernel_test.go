package e2e

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/kernel"
	"github.com/banger-vm/banger/internal/kernel/debian"
	"github.com/banger-vm/banger/internal/places"
)

// debianKernel fetches a kernel of Debian's and returns where it is unpacked.
func debianKernel(t *testing.T, pkg string) (vmlinuz, modules, release string) {
	t.Helper()
	p, err := places.Resolve(places.Flags{}, places.SystemEnv())
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "banger-e2e-kernel-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	src := debian.New(debian.Config{CacheDir: p.CacheDir, Package: pkg}, hostexec.Host{})
	var k kernel.Package
	if k, err = src.Fetch(t.Context(), dir, func(string, int64, int64) {}); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, k.Vmlinuz), filepath.Join(dir, "lib", "modules", k.Release), k.Release
}

func (e *env) kernel(t *testing.T, name string) (k api.Kernel) {
	t.Helper()
	if err := json.Unmarshal([]byte(e.ok(t, "kernel", "inspect", "--json", name)), &k); err != nil {
		t.Fatal(err)
	}
	return k
}

// kernelFiles are the names in the directory of kernels.
func (e *env) kernelFiles(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(e.state(), "kernels"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// runsOn makes a VM on an imported kernel and has it tell what it runs on, and
// load a module that no guest has loaded: its kernel and its programs know
// nothing of packed ones.
func (e *env) runsOn(t *testing.T, vm, name, release string) api.VM {
	t.Helper()
	args := []string{"run", "-d", "-n", vm, "--kernel", name, "-m", "256M", "--network", "none"}
	if os.Getenv("BANGER_TEST_HOST") != "1" {
		args = append(args, "--accel", "tcg") // KVM runs no guest here, and is not tried with each kernel
	}
	r := e.banger(t, append(args, "bb")...)
	t.Cleanup(func() { e.banger(t, "rm", "-f", vm) })
	if r.code != 0 {
		t.Fatalf("%s", r)
	}
	v := e.inspect(t, vm)
	if lacks := len(v.Reduced) > 0 && strings.Contains(v.Reduced[0], "lacks"); lacks != strings.Contains(r.stderr, "lacks") {
		t.Errorf("run says %q, inspect %q", r.stderr, v.Reduced)
	}
	out := e.ok(t, "exec", vm, "--", "sh", "-c",
		"cat /proc/sys/kernel/osrelease; busybox insmod /lib/modules/*/kernel/drivers/net/dummy.ko && cat /proc/modules /proc/mounts")
	if !strings.HasPrefix(out, release+"\n") || !strings.Contains(out, "\ndummy ") {
		t.Errorf("the guest on %s says %q", name, out)
	}
	want := "/dev/dm-0 / "
	if v.Spec.DiskDriver == "copy" {
		want = "/dev/vda / "
	}
	if v.Spec.Kernel != name || v.Boot.Kernel != release || !strings.Contains(out, want) {
		t.Errorf("it is on the kernel %s %s, disk driver %s: %q", v.Spec.Kernel, v.Boot.Kernel, v.Spec.DiskDriver, out)
	}
	return v
}

// Debian's kernels run guests once they are imported, however they are packed
// and whatever they have built in; also one without device mapper.
func TestLongKernels(t *testing.T) {
	notOnFake(t, noKernel)
	e := bare(t)
	e.busyboxImage(t, "b1", "bb", false)
	for _, c := range []struct{ name, pkg string }{
		{"cloud-6.12", "linux-image-6.12-cloud-amd64"}, // Zstandard; modules in XZ
		{"generic", "linux-image-amd64"},               // LZ4; ext4 is a module
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "generic" && os.Getenv("BANGER_FAULTS") == "" {
				t.Skip("its 400 MB of modules take long; BANGER_FAULTS=1 runs it")
			}
			vmlinuz, modules, release := debianKernel(t, c.pkg)
			if out := e.ok(t, "kernel", "import", vmlinuz, "--modules", modules); out != release+"\n" {
				t.Fatalf("it prints %q", out)
			}
			if k := e.kernel(t, release); k.Release != release || k.Origin != "imported" || k.Source != vmlinuz || len(k.Lacks) > 0 {
				t.Errorf("%+v", k)
			}
			e.refused(t, 4, []string{release, "--name"}, "kernel", "import", vmlinuz, "--modules", modules)
			vm := "on-" + strings.ReplaceAll(c.name, ".", "")
			e.runsOn(t, vm, release, release)
			e.refused(t, 5, []string{"in use by " + vm}, "kernel", "rm", release)
			e.ok(t, "rm", "-f", vm)
			e.ok(t, "kernel", "rm", release)
			if left := e.kernelFiles(t); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
	t.Run("host", func(t *testing.T) {
		var uts unix.Utsname
		if err := unix.Uname(&uts); err != nil {
			t.Fatal(err)
		}
		release := unix.ByteSliceToString(uts.Release[:])
		vmlinuz, modules := "/boot/vmlinuz-"+release, "/lib/modules/"+release
		for _, path := range []string{vmlinuz, modules} {
			if _, err := os.Stat(path); err != nil {
				t.Skip("this host does not have its own kernel's files: ", err)
			}
		}
		e.ok(t, "kernel", "import", vmlinuz, "--modules", modules, "--name", "host")
		e.runsOn(t, "on-host", "host", release)
		e.ok(t, "rm", "-f", "on-host")
		e.ok(t, "kernel", "rm", "host")
	})
	t.Run("without device mapper", func(t *testing.T) {
		vmlinuz, modules, release := debianKernel(t, "")
		e.interruptedImport(t, vmlinuz, modules)
		if err := os.Remove(filepath.Join(modules, "kernel/drivers/md/dm-snapshot.ko")); err != nil {
			t.Fatal(err)
		}
		e.ok(t, "kernel", "import", vmlinuz, "--modules", filepath.Dir(modules), "--name", "poor")
		if k := e.kernel(t, "poor"); !slices.Equal(k.Lacks, []string{"dm_snapshot"}) {
			t.Errorf("%+v", k)
		}
		e.refused(t, 5, []string{"poor lacks dm_snapshot", "--disk-driver copy"}, "create", "--kernel", "poor", "--disk-driver", "guestcow", "--network", "none", "bb")
		if v := e.runsOn(t, "on-poor", "poor", release); v.Spec.DiskDriver != "copy" || !strings.Contains(v.Reduced[0], "poor lacks dm_snapshot") {
			t.Errorf("%s, %q", v.Spec.DiskDriver, v.Reduced)
		}
	})
}

// interruptedImport leaves nothing.
func (e *env) interruptedImport(t *testing.T, vmlinuz, modules string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	cmd := e.command(ctx, "kernel", "import", vmlinuz, "--modules", modules)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, "the import to work", func() bool { return len(e.kernelFiles(t)) > 0 })
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d, want 130", code)
	}
	if left := e.kernelFiles(t); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
