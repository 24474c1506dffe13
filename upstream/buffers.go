package upstream

import "sync"

// Buffers for heads come in three sizes: nearly every head fits the first.
var bufferSizes = [...]int{4 << 10, 16 << 10, 64 << 10}

var bufferPools [len(bufferSizes)]sync.Pool

// buffer is a pooled buffer. Whoever acquired it owns it until release.
type buffer struct {
	b     []byte // of its class's size
	class int
}

func acquireBuffer(class int) *buffer {
	if b, ok := bufferPools[class].Get().(*buffer); ok {
		return b
	}
	return &buffer{b: make([]byte, bufferSizes[class]), class: class}
}

func (b *buffer) release() { bufferPools[b.class].Put(b) }

// grown returns a buffer of the next class that holds what b held, and
// releases b; nil if there is none.
func (b *buffer) grown() *buffer {
	if b.class+1 == len(bufferSizes) {
		return nil
	}
	bigger := acquireBuffer(b.class + 1)
	copy(bigger.b, b.b)
	b.release()
	return bigger
}
