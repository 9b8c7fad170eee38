// Package kerneltest makes tiny kernels and modules for tests: what is read of
// a real one is in them, and nothing that runs.
package kerneltest

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
)

// Release is that of the tiny kernels.
const Release = "6.1-test"

// Dep is modules.dep of Debian's cloud kernel, in a foreign order.
const Dep = `
kernel/drivers/net/virtio_net.ko: kernel/drivers/net/net_failover.ko kernel/net/core/failover.ko kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/md/dm-snapshot.ko: kernel/drivers/md/dm-bufio.ko kernel/drivers/md/dm-mod.ko
kernel/drivers/md/dm-bufio.ko: kernel/drivers/md/dm-mod.ko
kernel/drivers/md/dm-mod.ko:
kernel/drivers/net/net_failover.ko: kernel/net/core/failover.ko
kernel/net/core/failover.ko:
kernel/drivers/virtio/virtio.ko: kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/virtio/virtio_ring.ko:
kernel/drivers/virtio/virtio_mmio.ko: kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/virtio/virtio_pci_modern_dev.ko:
kernel/drivers/virtio/virtio_pci.ko: kernel/drivers/virtio/virtio_pci_modern_dev.ko kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/block/virtio_blk.ko: kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/char/virtio_console.ko: kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
`

// Builtin is modules.builtin of the same.
const Builtin = "kernel/fs/ext4/ext4.ko\n"

var le = binary.LittleEndian

// Note is the note of a kernel's PVH entry.
var Note = []byte("\x04\x00\x00\x00\x08\x00\x00\x00\x12\x00\x00\x00Xen\x00\x00\x00\x00\x01\x00\x00\x00\x00")

// Vmlinux is a 64-bit x86 ELF with a segment of n bytes, which begins with the
// banner of Release, and one for the notes.
func Vmlinux(n int, notes []byte) []byte {
	const headers = 64 + 2*56
	b := make([]byte, headers+n, headers+n+len(notes))
	copy(b, "\x7fELF\x02\x01\x01")
	le.PutUint16(b[16:], 2)  // executable
	le.PutUint16(b[18:], 62) // x86-64
	le.PutUint32(b[20:], 1)
	le.PutUint64(b[32:], 64) // program headers
	le.PutUint16(b[52:], 64)
	le.PutUint16(b[54:], 56)
	le.PutUint16(b[56:], 2)
	le.PutUint16(b[58:], 64)
	segment := func(at int, kind uint32, off, size int) {
		le.PutUint32(b[at:], kind)
		le.PutUint64(b[at+8:], uint64(off))
		le.PutUint64(b[at+32:], uint64(size))
		le.PutUint64(b[at+40:], uint64(size))
	}
	segment(64, 1, headers, n)
	segment(64+56, 4, headers+n, len(notes))
	for i := range n {
		b[headers+i] = byte(i * i)
	}
	copy(b[headers:], "Linux version %s (%s)\nLinux version "+Release+" (me@here)\n")
	return append(b, notes...)
}

// Sizes of a tiny bzImage.
const (
	Sectors = 2
	Gap     = 100 // between set-up and payload
	Behind  = "behind it"
)

// PayloadAt is where the payload is.
const PayloadAt = (Sectors+1)*512 + Gap

// BzImage is a bzImage of Release with a payload.
func BzImage(payload []byte) []byte {
	b := make([]byte, PayloadAt)
	b[0x1f1] = Sectors
	copy(b[0x202:], "HdrS")
	le.PutUint16(b[0x206:], 0x020f)
	le.PutUint16(b[0x20e:], 0x300-0x200)
	copy(b[0x300:], Release+" (me@here) #1 SMP")
	le.PutUint16(b[0x236:], 1)
	le.PutUint32(b[0x248:], Gap)
	le.PutUint32(b[0x24c:], uint32(len(payload)))
	return append(append(b, payload...), Behind...)
}

// Vmlinuz is a bzImage of Release with an ELF kernel, packed with gzip.
func Vmlinuz(elf []byte) []byte {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(elf); err != nil {
		panic(err) // a buffer takes everything
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return BzImage(packed.Bytes())
}

// Module is a module of a kernel release.
func Module(release string) []byte {
	const headers, names = 64, "\x00.modinfo\x00.shstrtab\x00"
	info := "license=GPL\x00depends=\x00vermagic=" + release + " SMP preempt mod_unload \x00"
	var b bytes.Buffer
	b.WriteString("\x7fELF\x02\x01\x01")
	b.Write(make([]byte, headers-b.Len()))
	b.WriteString(info + names)
	for b.Len()%8 != 0 {
		b.WriteByte(0)
	}
	table := b.Len()
	b.Write(make([]byte, 3*64))
	out := b.Bytes()
	le.PutUint16(out[16:], 1)  // relocatable
	le.PutUint16(out[18:], 62) // x86-64
	le.PutUint32(out[20:], 1)
	le.PutUint64(out[40:], uint64(table))
	le.PutUint16(out[52:], headers)
	le.PutUint16(out[58:], 64)
	le.PutUint16(out[60:], 3)
	le.PutUint16(out[62:], 2)
	section := func(i int, name, kind uint32, off, size int) {
		s := out[table+i*64:]
		le.PutUint32(s, name)
		le.PutUint32(s[4:], kind)
		le.PutUint64(s[24:], uint64(off))
		le.PutUint64(s[32:], uint64(size))
	}
	section(1, 1, 1, headers, len(info))
	section(2, 10, 3, headers+len(info), len(names))
	return out
}

// WriteTree writes the modules of dep, and the lists that a kernel's build
// makes, into dir, as /lib/modules/RELEASE is before depmod. pack makes of a
// module what its file holds, and how its name goes on after .ko; nil: as it is.
func WriteTree(dir, release, dep string, pack func([]byte) (body []byte, suffix string)) error {
	files := map[string][]byte{"modules.builtin": []byte(Builtin), "modules.order": nil}
	for line := range strings.Lines(dep) {
		file, _, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		body, suffix := Module(release), ""
		if pack != nil {
			body, suffix = pack(body)
		}
		files[file+suffix] = body
	}
	for name, body := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, body, 0o644); err != nil {
			return err
		}
	}
	return nil
}
