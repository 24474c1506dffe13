package usage

import (
	"encoding/binary"
	"math"
	"strings"
	"unicode/utf8"
)

// A record on disk is its length, then what questions go by, then names with
// their lengths before them and numbers as varints: about 150 bytes.
//
//	 0  uint16  bytes of what follows
//	 2  uint64  ID
//	10  int64   At, in Unix microseconds
//	18  uint8   Outcome
//	19  uint8   Source
//	20  uint8   1: Stream
//	21          APIKeyID, the texts, the numbers
//
// What it holds has been made fit for every database: no text is longer than
// maxText, none has a NUL or is not UTF-8, no number is negative that cannot be.
const (
	recordVersion = 2
	recordLength  = 2 // bytes that say how many follow
	recordHead    = 19
	maxText       = 128 // bytes; an x-request-id is no longer
	maxTokens     = math.MaxInt32
)

// AppendRecord writes r behind dst, as journals and blocks have it.
func AppendRecord(dst []byte, r *Record) []byte {
	from := len(dst)
	dst = append(dst, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, r.ID)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.At.UnixMicro()))
	dst = append(dst, byte(r.Outcome), byte(r.Source), flags(r))
	dst = binary.AppendVarint(dst, r.APIKeyID)
	for _, text := range [...]string{
		r.Endpoint, r.Model, r.Provider, r.APIKeyName, r.UpstreamModel, r.Phase, r.Code, r.RequestID,
	} {
		text = fit(text)
		dst = append(dst, byte(len(text)))
		dst = append(dst, text...)
	}
	for _, n := range [...]int64{
		within(int64(r.Status), 999), within(int64(r.Attempts), math.MaxInt16),
		within(r.Prompt, maxTokens), within(r.Completion, maxTokens), within(r.Cached, maxTokens), within(r.Reasoning, maxTokens),
		within(r.CostMicroUSD, math.MaxInt64),
		within(r.TTFT.Microseconds(), math.MaxInt64), within(r.Duration.Microseconds(), math.MaxInt64),
		within(r.Overhead.Microseconds(), math.MaxInt32),
	} {
		dst = binary.AppendUvarint(dst, uint64(n))
	}
	binary.LittleEndian.PutUint16(dst[from:], uint16(len(dst)-from-recordLength))
	return dst
}

func flags(r *Record) byte {
	if r.Stream {
		return 1
	}
	return 0
}

func within(n, most int64) int64 { return min(max(n, 0), most) }

// fit makes a text one that every database takes.
func fit(text string) string {
	if len(text) > maxText {
		cut := maxText
		for cut > 0 && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut]
	}
	if strings.IndexByte(text, 0) >= 0 {
		text = strings.ReplaceAll(text, "\x00", "")
	}
	if utf8.ValidString(text) { // many times faster than what follows
		return text
	}
	return strings.ToValidUTF8(text, "")
}
