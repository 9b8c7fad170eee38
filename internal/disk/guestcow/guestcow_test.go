package guestcow

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/banger-vm/banger/internal/disk/disktest"
)

func TestConformance(t *testing.T) { disktest.Run(t, New()) }

// dm-snapshot's own allocation, chunk by chunk (drivers/md/dm-snap-persistent.c:
// next_free skips every metadata chunk; an area that is full makes it zero the
// next one), never reaches beyond the layer.
func TestLayerNeverOverflows(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		base := rapid.Int64Range(1, 1<<16).Draw(rt, "sectors") * 512 * rapid.SampledFrom([]int64{1, 7, 32, 1024}).Draw(rt, "scale")
		layer := LayerBytes(base)
		if layer%alignment != 0 {
			rt.Fatalf("%d is not aligned", layer)
		}
		chunks := (base + chunkBytes - 1) / chunkBytes
		free, area, committed := int64(2), int64(0), int64(0) // after the header and the first metadata chunk
		top := int64(1)
		for range chunks {
			top = max(top, free)
			free++
			if free%(exceptions+1) == 1 { // a metadata chunk's place
				free++
			}
			if committed++; committed == exceptions {
				committed, area = 0, area+1
				top = max(top, 1+area*(exceptions+1)) // the next metadata chunk is zeroed
			}
		}
		if (top+1)*chunkBytes > layer {
			rt.Fatalf("base of %d: chunk %d is written, the layer has %d", base, top, layer/chunkBytes)
		}
		if layer > (top+1)*chunkBytes+alignment {
			rt.Fatalf("base of %d: the layer has %d chunks, %d are enough", base, layer/chunkBytes, top+1)
		}
	})
}
