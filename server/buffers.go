package server

import (
	"math/bits"
	"sync"
)

// keepBytes is the largest buffer that stays with a pooled exchange; larger
// ones go to pools of their own, where a long prompt finds one without the
// memory having to be cleared and collected for every request.
const keepBytes = 32 << 10

// largeBuffers are pools of *[]byte by capacity: 64 KiB, 128 KiB … 16 MiB.
// What is larger is left to the garbage collector, and so is what lies in a
// pool for two collections.
var largeBuffers [9]sync.Pool

// bufferClass is the pool of the smallest capacity that holds n bytes; ok is
// false if there is none.
func bufferClass(n int) (class int, ok bool) {
	if n <= keepBytes {
		return 0, false
	}
	class = bits.Len(uint(n-1)) - bits.Len(uint(keepBytes))
	return class, class < len(largeBuffers)
}

// newBuffer returns an empty buffer with room for n bytes or more.
func newBuffer(n int) []byte {
	class, ok := bufferClass(n)
	if !ok {
		return make([]byte, 0, n)
	}
	if b, _ := largeBuffers[class].Get().(*[]byte); b != nil {
		return (*b)[:0]
	}
	return make([]byte, 0, 2*keepBytes<<class)
}

// dropBuffer gives a buffer up that nobody refers to any more.
func dropBuffer(b []byte) {
	class, ok := bufferClass(cap(b))
	if ok && cap(b) == 2*keepBytes<<class {
		large := b // of its own, so that only large ones take a word of the heap
		largeBuffers[class].Put(&large)
	}
}

// kept empties a buffer that stays with its exchange, unless it grew large.
func kept(b []byte) []byte {
	if cap(b) > keepBytes {
		dropBuffer(b)
		return nil
	}
	return b[:0]
}

// grow returns b with more room: as much as is declared, but no more than the
// bytes that are there make believable; four times as much where nothing is
// declared. b is not to be used any more.
func grow(b []byte, declared int64) []byte {
	room := max(4*cap(b), 4096)
	if d := int(declared) + 1; d > cap(b) {
		room = min(d, max(believed*cap(b), 4096))
	}
	grown := append(newBuffer(room), b...)
	dropBuffer(b)
	return grown
}
