package usage

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/klauspost/compress/s2"
)

// A block is many records in few bytes, for a database that keeps them so:
//
//	0  uint8   version of the block and of its records
//	1  uint32  CRC-32C of what follows
//	5          the records as AppendRecord writes them, one behind the other, in S2
//
// S2 (https://github.com/klauspost/compress/tree/master/s2) is Snappy with
// longer copies: of a record's 150 bytes some 70 are left.
const (
	blockVersion = 1
	blockHead    = 5
	blockMost    = 64 << 20 // bytes of records; a length above it was not written here
)

// ErrBlock is the error for what is no block, or one that is damaged.
var ErrBlock = errors.New("a block of usage records cannot be read")

// AppendBlock writes encoded records as a block behind dst.
func AppendBlock(dst, records []byte) []byte {
	from := len(dst)
	dst = append(dst, blockVersion, 0, 0, 0, 0)
	head := len(dst)
	if most := s2.MaxEncodedLen(len(records)); cap(dst)-head < most {
		dst = append(make([]byte, 0, head+most), dst...)
	}
	dst = dst[:head+len(s2.Encode(dst[head:cap(dst)], records))]
	binary.LittleEndian.PutUint32(dst[from+1:], crc32.Checksum(dst[head:], castagnoli))
	return dst
}

// AppendBlockRecords writes the encoded records of a block behind dst.
func AppendBlockRecords(dst, block []byte) ([]byte, error) {
	if len(block) < blockHead || block[0] != blockVersion ||
		crc32.Checksum(block[blockHead:], castagnoli) != binary.LittleEndian.Uint32(block[1:]) {
		return dst, ErrBlock
	}
	size, err := s2.DecodedLen(block[blockHead:])
	if err != nil || size > blockMost {
		return dst, ErrBlock
	}
	from := len(dst)
	if cap(dst)-from < size {
		dst = append(make([]byte, 0, from+size), dst...)
	}
	if _, err := s2.Decode(dst[from:from+size], block[blockHead:]); err != nil {
		return dst[:from], ErrBlock
	}
	return dst[:from+size], nil
}
