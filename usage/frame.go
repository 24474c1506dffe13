package usage

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
	"time"
)

// A frame is what one write to the journal adds: records behind a header.
//
//	 0  uint32  bytes of the payload
//	 4  uint32  records in it
//	 8  uint64  position of the frame in its journal
//	16  int64   when it was written, in Unix microseconds
//	24  uint32  CRC-32C of the payload
//	28  uint32  CRC-32C of the journal's id and the header up to here
//	32          payload: the version of the records, then the records
//
// All numbers are little endian. The header has a sum of its own so that a
// frame whose payload is damaged can be stepped over, and a length is believed
// only when it is what was written. Id and position keep what an earlier file
// left on the disk from being taken for a frame.
const (
	frameHeader  = 32
	frameRecords = 1024      // most records in a frame
	framePayload = 1 << 20   // most bytes of a payload
	frameFill    = 512 << 10 // a payload this long takes no further record
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frame is a frame in memory, header included: written as it is.
type frame struct {
	bytes   []byte
	records int
}

// reset makes f empty.
func (f *frame) reset() {
	f.bytes = append(append(f.bytes[:0], make([]byte, frameHeader)...), recordVersion)
	f.records = 0
}

// full reports whether f takes no further record.
func (f *frame) full() bool { return f.records >= frameRecords || len(f.bytes) >= frameFill }

// add puts a record into f.
func (f *frame) add(r *Record) {
	f.bytes = AppendRecord(f.bytes, r)
	f.records++
}

// seal fills in the header.
func (f *frame) seal(journal uint64, position int64, now time.Time) {
	h, payload := f.bytes[:frameHeader], f.bytes[frameHeader:]
	binary.LittleEndian.PutUint32(h[0:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(h[4:], uint32(f.records))
	binary.LittleEndian.PutUint64(h[8:], uint64(position))
	binary.LittleEndian.PutUint64(h[16:], uint64(now.UnixMicro()))
	binary.LittleEndian.PutUint32(h[24:], crc32.Checksum(payload, castagnoli))
	binary.LittleEndian.PutUint32(h[28:], headerSum(journal, h))
}

func headerSum(journal uint64, h []byte) uint32 {
	var id [8]byte
	binary.LittleEndian.PutUint64(id[:], journal)
	return crc32.Update(crc32.Checksum(id[:], castagnoli), castagnoli, h[:28])
}

// state is what a reader finds at a position.
type state uint8

const (
	sound   state = iota // a whole frame
	short                // a frame of which the end is missing, or nothing but zeros
	spoiled              // a header whose payload is not what was written
	unknown              // no header: what follows cannot be told apart
)

// header is what a frame says of itself.
type header struct {
	state   state
	size    int // of the whole frame
	records int // known unless the state is unknown
	at      time.Time
}

// readHeader looks at the frame that should be at the beginning of b, which
// ends where the file does.
func readHeader(b []byte, journal uint64, position int64) header {
	if len(b) < frameHeader || zeros(b) {
		return header{state: short, size: len(b)}
	}
	h := b[:frameHeader]
	length := binary.LittleEndian.Uint32(h)
	if binary.LittleEndian.Uint32(h[28:]) != headerSum(journal, h) ||
		binary.LittleEndian.Uint64(h[8:]) != uint64(position) || length > framePayload {
		return header{state: unknown, size: len(b)}
	}
	found := header{
		size:    frameHeader + int(length),
		records: int(binary.LittleEndian.Uint32(h[4:])),
		at:      time.UnixMicro(int64(binary.LittleEndian.Uint64(h[16:]))),
	}
	switch {
	case found.size > len(b):
		found.state, found.size = short, len(b)
	case crc32.Checksum(b[frameHeader:found.size], castagnoli) != binary.LittleEndian.Uint32(h[24:]):
		found.state = spoiled
	}
	return found
}

// zeros reports whether b is what a file system leaves where it had grown a
// file, but not yet written to it, when the power went.
func zeros(b []byte) bool {
	for _, one := range b {
		if one != 0 {
			return false
		}
	}
	return true
}

// records reads the payload of a sound frame behind dst, and the records as
// they are written behind encoded. After an error nothing is behind either.
func (d *Decoder) records(dst []Record, encoded, b []byte, n int) ([]Record, []byte, error) {
	payload := b[frameHeader:]
	if len(payload) == 0 || payload[0] != recordVersion || n > len(payload) {
		return dst, encoded, errRecord
	}
	all, known := payload[1:], len(dst)
	text := string(all) // one allocation for the request ids of all
	dst = slices.Grow(dst, n)
	rest := all
	for range n {
		one, behind, err := NextRecord(rest)
		if err == nil {
			dst = dst[:len(dst)+1]
			at := len(all) - len(rest)
			err = d.record(one, text[at:at+len(one)], &dst[len(dst)-1])
		}
		if err != nil {
			return dst[:known], encoded, err
		}
		rest = behind
	}
	if len(rest) > 0 {
		return dst[:known], encoded, errRecord
	}
	return dst, append(encoded, all...), nil
}
