package store

import (
	"encoding/binary"
	"slices"
)

// usageMarks are what a block has that questions ask for, each as 32 bits of a
// sum over it: enough to tell that something is not there, nearly always.
type usageMarks map[uint32]struct{}

// The fields that marks are of.
const (
	markKey = iota + 1
	markModel
	markProvider
	markEndpoint
	markOutcome
)

// mark is the sum of one value of one field: FNV-1a,
// http://www.isthe.com/chongo/tech/comp/fnv/. It is in usage.db: it stays.
func mark(field byte, value string) uint32 {
	sum := uint64(14695981039346656037)
	sum = (sum ^ uint64(field)) * 1099511628211
	for i := range len(value) {
		sum = (sum ^ uint64(value[i])) * 1099511628211
	}
	return uint32(sum>>32) ^ uint32(sum)
}

func markOfKey(id int64) uint32 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(id))
	return mark(markKey, string(b[:]))
}

// of are the marks of a record of this key.
func (k *usageKey) marks() [5]uint32 {
	return [5]uint32{
		markOfKey(k.keyID), mark(markModel, k.model), mark(markProvider, k.provider),
		mark(markEndpoint, k.endpoint), mark(markOutcome, k.outcome.String()),
	}
}

// wanted are the marks of a block that may have what a filter asks for.
func wanted(f UsageFilter) []uint32 {
	var all []uint32
	if f.KeyID != nil {
		all = append(all, markOfKey(*f.KeyID))
	}
	for field, value := range map[byte]string{
		markModel: f.Model, markProvider: f.Provider, markEndpoint: f.Endpoint, markOutcome: f.Outcome,
	} {
		if value != "" {
			all = append(all, mark(field, value))
		}
	}
	return all
}

// bytes are the marks as they are stored: in order, little endian.
func (m usageMarks) bytes() []byte {
	sorted := make([]uint32, 0, len(m))
	for one := range m {
		sorted = append(sorted, one)
	}
	slices.Sort(sorted)
	b := make([]byte, 0, 4*len(sorted))
	for _, one := range sorted {
		b = binary.LittleEndian.AppendUint32(b, one)
	}
	return b
}

// addStored adds the marks that bytes wrote.
func (m usageMarks) addStored(b []byte) {
	for ; len(b) >= 4; b = b[4:] {
		m[binary.LittleEndian.Uint32(b)] = struct{}{}
	}
}

// hasAll reports whether all of these are among stored marks.
func hasAll(stored []byte, marks []uint32) bool {
	for _, one := range marks {
		if !hasMark(stored, one) {
			return false
		}
	}
	return true
}

func hasMark(stored []byte, want uint32) bool {
	low, high := 0, len(stored)/4
	for low < high {
		middle := (low + high) / 2
		switch one := binary.LittleEndian.Uint32(stored[4*middle:]); {
		case one == want:
			return true
		case one < want:
			low = middle + 1
		default:
			high = middle
		}
	}
	return false
}
