package network

import "sync/atomic"

// Traffic counts the bytes and frames of a card, as its guest sees them.
type Traffic struct {
	SentBytes      uint64 `json:"sent_bytes"`
	SentFrames     uint64 `json:"sent_frames"`
	ReceivedBytes  uint64 `json:"received_bytes"`
	ReceivedFrames uint64 `json:"received_frames"`
}

// Count counts what goes over one card's links, one after the other. The zero
// value has counted nothing; it may be read at any time.
type Count struct {
	sentBytes, sentFrames, receivedBytes, receivedFrames atomic.Uint64
}

// Traffic is what was counted so far.
func (c *Count) Traffic() Traffic {
	return Traffic{
		SentBytes: c.sentBytes.Load(), SentFrames: c.sentFrames.Load(),
		ReceivedBytes: c.receivedBytes.Load(), ReceivedFrames: c.receivedFrames.Load(),
	}
}

// Link is l, counted. A frame that the link fails to write counts nothing.
func (c *Count) Link(l Link) Link { return counted{l, c} }

type counted struct {
	Link
	count *Count
}

func (c counted) ReadFrame(buf []byte) (int, error) {
	n, err := c.Link.ReadFrame(buf)
	if err == nil {
		c.count.sentBytes.Add(uint64(n))
		c.count.sentFrames.Add(1)
	}
	return n, err
}

func (c counted) WriteFrames(frames [][]byte) error {
	if err := c.Link.WriteFrames(frames); err != nil {
		return err
	}
	bytes := 0
	for _, f := range frames {
		bytes += len(f)
	}
	c.count.receivedBytes.Add(uint64(bytes))
	c.count.receivedFrames.Add(uint64(len(frames)))
	return nil
}
