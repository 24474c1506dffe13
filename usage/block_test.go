package usage

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// encodedSamples are records as most are, of some keys, with request ids of
// which no two are alike.
func encodedSamples(n int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	var b []byte
	for i := range n {
		r := sample(i)
		r.RequestID = fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", random.Uint32(), random.Uint32N(1<<16), random.Uint32N(1<<12), random.Uint32N(1<<16), random.Uint64N(1<<48))
		r.At = r.At.Add(time.Duration(i)*time.Millisecond + time.Duration(random.IntN(1000))*time.Microsecond)
		r.APIKeyID = random.Int64N(50)
		r.APIKeyName = fmt.Sprint("team-", r.APIKeyID)
		r.Prompt, r.Completion = random.Int64N(4000), random.Int64N(800)
		r.TTFT, r.Duration = time.Duration(random.IntN(1e9)), time.Duration(random.IntN(1e10))
		b = AppendRecord(b, &r)
	}
	return b
}

// A block gives back what was put in, behind whatever is there already.
func TestABlockComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := rapid.SliceOf(rapid.Byte()).Draw(t, "records")
		before := rapid.SliceOf(rapid.Byte()).Draw(t, "before")
		block := AppendBlock(bytes.Clone(before), records)
		if !bytes.HasPrefix(block, before) {
			t.Fatal("what was there is gone")
		}
		got, err := AppendBlockRecords(bytes.Clone(before), block[len(before):])
		if err != nil || !bytes.Equal(got, append(bytes.Clone(before), records...)) {
			t.Fatalf("%v, %q", err, got)
		}
	})
}

// One bit that is not as it was is noticed, wherever it is, and so is an end
// that is missing.
func TestADamagedBlockIsNoticed(t *testing.T) {
	block := AppendBlock(nil, encodedSamples(20))
	for i := range block {
		for bit := range 8 {
			block[i] ^= 1 << bit
			if _, err := AppendBlockRecords(nil, block); !errors.Is(err, ErrBlock) {
				t.Fatalf("byte %d, bit %d: %v", i, bit, err)
			}
			block[i] ^= 1 << bit
		}
		if _, err := AppendBlockRecords(nil, block[:i]); !errors.Is(err, ErrBlock) {
			t.Fatalf("the first %d bytes: %v", i, err)
		}
	}
}

// A usual record takes less than 110 bytes in a block.
func TestARecordIsSmallInABlock(t *testing.T) {
	const n = 1000
	size := len(AppendBlock(nil, encodedSamples(n))) / n
	t.Logf("%d bytes a record, of %d", size, len(encodedSamples(n))/n)
	if size > 110 {
		t.Errorf("%d bytes a record", size)
	}
}

// Whatever is read as a block, nothing panics, and what is decoded of it can be
// written again.
func FuzzBlock(f *testing.F) {
	f.Add(AppendBlock(nil, encodedSamples(2)), true)
	f.Add(encodedSamples(2), false)
	f.Add([]byte{}, true)
	f.Fuzz(func(t *testing.T, b []byte, packed bool) {
		if packed {
			var err error
			if b, err = AppendBlockRecords(nil, b); err != nil {
				return
			}
		}
		var d Decoder
		for {
			one, rest, err := NextRecord(b)
			if err != nil {
				return
			}
			one.Names()
			var r, again Record
			if err := d.Record(one, &r); err == nil {
				back, _, err := NextRecord(AppendRecord(nil, &r))
				if err != nil || d.Record(back, &again) != nil || again != r {
					t.Fatalf("%v\n got %+v\nwant %+v", err, again, r)
				}
			}
			b = rest
		}
	})
}

// BenchmarkBlock packs, and unpacks, a thousand records; an operation is a record.
func BenchmarkBlock(b *testing.B) {
	const n = 1000
	records := encodedSamples(n)
	block := AppendBlock(nil, records)
	b.Run("pack", func(b *testing.B) {
		var to []byte
		for i := 0; b.Loop(); i++ {
			if i%n == 0 {
				to = AppendBlock(to[:0], records)
			}
		}
		if !bytes.Equal(to, block) {
			b.Fatal("another block")
		}
	})
	b.Run("unpack", func(b *testing.B) {
		var to []byte
		for i := 0; b.Loop(); i++ {
			if i%n == 0 {
				to, _ = AppendBlockRecords(to[:0], block)
			}
		}
		if !bytes.Equal(to, records) {
			b.Fatal("other records")
		}
	})
}
