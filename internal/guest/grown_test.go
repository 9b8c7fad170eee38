package guest

import "testing"

func FuzzGrown(f *testing.F) {
	f.Add([]byte(`{"size":1073741824}`), int64(1<<30))
	f.Add([]byte(`{"size":1e99}`), int64(1))
	f.Fuzz(func(t *testing.T, answer []byte, size int64) {
		if got, err := decodeGrown(answer, size); err == nil && (got <= 0 || got > size) {
			t.Error(got, size)
		}
	})
}
