package tokens

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
	"sync"

	"github.com/pkoukk/tiktoken-go-loader/assets"
)

// none is the rank of what is no token.
const none = math.MaxUint32

// vocabulary finds the rank of a token, which is its number too, by its bytes.
// It is made once and then only read.
//
// A token of up to seven bytes is its own key in one flat table; the longer
// ones lie in one slab of bytes behind another. That is 4 MB for o200k, where a
// map of strings takes 16.
type vocabulary struct {
	short   shortTable
	long    longTable
	longest int // bytes of the longest token
}

// vocabularies are loaded when they are first needed, and stay.
var vocabularies [encodings]struct {
	once sync.Once
	made *vocabulary
}

func vocabularyOf(e Encoding) *vocabulary {
	v := &vocabularies[e]
	v.once.Do(func() {
		loadClasses()
		v.made = load(e)
	})
	if v.made == nil {
		panic("BUG: tokens: vocabulary could not be loaded: " + e.String())
	}
	return v.made
}

// load reads the file that the binary carries: a line for each token, its bytes
// in base64 and its rank.
func load(e Encoding) *vocabulary {
	file, err := assets.Assets.Open(e.String() + ".tiktoken")
	if err != nil {
		panic("BUG: tokens: embedded vocabulary: " + err.Error())
	}
	defer file.Close()
	var words wordList
	for lines := bufio.NewScanner(file); lines.Scan(); {
		words.add(lines.Bytes())
	}
	return words.build()
}

// rank returns the rank of text[from:to], or none. to > from.
func (v *vocabulary) rank(text []byte, from, to int) uint32 {
	switch n := to - from; {
	case n <= shortBytes:
		return v.short.rank(shortKey(text, from, n))
	case n <= v.longest:
		return v.long.rank(text[from:to])
	}
	return none
}

// shortBytes is the length of the longest token that fits into a key.
const shortBytes = 7

// shortKey is text[from:from+n] with its length on top; never 0.
func shortKey(text []byte, from, n int) (key uint64) {
	if from+8 <= len(text) {
		key = binary.LittleEndian.Uint64(text[from:]) & (1<<(8*n) - 1)
	} else {
		for i, c := range text[from : from+n] {
			key |= uint64(c) << (8 * i)
		}
	}
	return key | uint64(n)<<(8*shortBytes)
}

// shortTable is an open hash table of keys. Its runs of taken slots are as they
// were built, whatever is asked for.
type shortTable struct {
	keys  []uint64 // 0 is free; a power of two of them
	ranks []uint32
	shift uint8
}

func newShortTable(words int) (t shortTable) {
	size := tableSize(words)
	return shortTable{make([]uint64, size), make([]uint32, size), uint8(64 - bits.TrailingZeros(uint(size)))}
}

func (t *shortTable) rank(key uint64) uint32 {
	mask := uint64(len(t.keys) - 1)
	for at := key * mixer >> t.shift; ; at++ {
		switch found := t.keys[at&mask]; found {
		case key:
			return t.ranks[at&mask]
		case 0:
			return none
		}
	}
}

func (t *shortTable) add(key uint64, rank uint32) {
	mask := uint64(len(t.keys) - 1)
	at := key * mixer >> t.shift
	for t.keys[at&mask] != 0 {
		at++
	}
	t.keys[at&mask], t.ranks[at&mask] = key, rank
}

// longTable holds the tokens of eight bytes and more. A slot is the number of a
// token, from 1 on, below the half of its hash that the slot's place does not
// tell.
type longTable struct {
	slots []uint64
	shift uint8
	slab  []byte
	ends  []uint32 // in slab, of token 1, 2, …; token 0 is empty
	ranks []uint32
}

func newLongTable(words, size int) longTable {
	slots := tableSize(words)
	return longTable{
		slots: make([]uint64, slots), shift: uint8(64 - bits.TrailingZeros(uint(slots))),
		slab: make([]byte, 0, size), ends: make([]uint32, 1, words+1), ranks: make([]uint32, 1, words+1),
	}
}

func (t *longTable) rank(word []byte) uint32 {
	h := hash(word)
	mask := uint64(len(t.slots) - 1)
	for at := h >> t.shift; ; at++ {
		slot := t.slots[at&mask]
		if slot == 0 {
			return none
		}
		if i := uint32(slot); slot>>32 == h&math.MaxUint32 && bytes.Equal(t.slab[t.ends[i-1]:t.ends[i]], word) {
			return t.ranks[i]
		}
	}
}

func (t *longTable) add(word []byte, rank uint32) {
	t.slab = append(t.slab, word...)
	t.ends = append(t.ends, uint32(len(t.slab)))
	t.ranks = append(t.ranks, rank)
	h := hash(word)
	mask := uint64(len(t.slots) - 1)
	at := h >> t.shift
	for t.slots[at&mask] != 0 {
		at++
	}
	t.slots[at&mask] = h<<32 | uint64(len(t.ends)-1)
}

// mixer is 2^64 divided by the golden ratio, which spreads what it multiplies.
const mixer = 0x9e3779b97f4a7c15

// hash is of eight bytes at least.
func hash(word []byte) uint64 {
	h := uint64(len(word)) * mixer
	for i := 0; i+8 < len(word); i += 8 {
		h = fold(h ^ binary.LittleEndian.Uint64(word[i:]))
	}
	return fold(h ^ binary.LittleEndian.Uint64(word[len(word)-8:]))
}

func fold(x uint64) uint64 {
	high, low := bits.Mul64(x^0x5851f42d4c957f2d, mixer)
	return high ^ low
}

// tableSize is a power of two with room: a third of the slots stays free.
func tableSize(words int) int { return 1 << bits.Len(uint(words+words/2)) }

// wordList is a vocabulary that is being read.
type wordList struct {
	slab       []byte
	ends       []int
	ranks      []uint32
	short      int // words that fit into keys
	longBytes  int // of those that do not
	longest    int
	lastOfSlab int
}

func (w *wordList) add(line []byte) {
	word, rank, _ := bytes.Cut(line, []byte(" "))
	if len(word) == 0 {
		return
	}
	number, err := strconv.ParseUint(string(rank), 10, 31)
	if err == nil {
		w.slab, err = base64.StdEncoding.AppendDecode(w.slab, word)
	}
	if err != nil {
		panic("BUG: tokens: embedded vocabulary: " + err.Error())
	}
	n := len(w.slab) - w.lastOfSlab
	w.lastOfSlab = len(w.slab)
	w.ends = append(w.ends, len(w.slab))
	w.ranks = append(w.ranks, uint32(number))
	w.longest = max(w.longest, n)
	if n <= shortBytes {
		w.short++
	} else {
		w.longBytes += n
	}
}

func (w *wordList) build() *vocabulary {
	v := &vocabulary{
		short: newShortTable(w.short), long: newLongTable(len(w.ends)-w.short, w.longBytes),
		longest: w.longest,
	}
	start := 0
	for i, end := range w.ends {
		if end-start <= shortBytes {
			v.short.add(shortKey(w.slab, start, end-start), w.ranks[i])
		} else {
			v.long.add(w.slab[start:end], w.ranks[i])
		}
		start = end
	}
	return v
}
