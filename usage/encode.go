package usage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// A record on disk is a row of numbers, as varints, and texts with their
// lengths before them: about 150 bytes. What it holds has been made fit for
// every database: no text is longer than maxText, none has a NUL or is not
// UTF-8, no number is negative that cannot be.
const (
	recordVersion = 1
	maxText       = 128 // bytes; an x-request-id is no longer
	maxTokens     = math.MaxInt32
)

// appendRecord writes r behind dst.
func appendRecord(dst []byte, r *Record) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, r.ID)
	dst = binary.AppendVarint(dst, r.At.UnixMicro())
	dst = binary.AppendVarint(dst, r.APIKeyID)
	for _, text := range [...]string{
		r.RequestID, r.APIKeyName, r.Endpoint, r.Model, r.UpstreamModel, r.Provider, r.Phase, r.Code,
	} {
		text = fit(text)
		dst = binary.AppendUvarint(dst, uint64(len(text)))
		dst = append(dst, text...)
	}
	dst = append(dst, flags(r), byte(r.Outcome), byte(r.Source))
	for _, n := range [...]int64{
		within(int64(r.Status), 999), within(int64(r.Attempts), math.MaxInt16),
		within(r.Prompt, maxTokens), within(r.Completion, maxTokens), within(r.Cached, maxTokens), within(r.Reasoning, maxTokens),
		within(r.CostMicroUSD, math.MaxInt64),
		within(r.TTFT.Microseconds(), math.MaxInt64), within(r.Duration.Microseconds(), math.MaxInt64),
		within(r.Overhead.Microseconds(), math.MaxInt32),
	} {
		dst = binary.AppendUvarint(dst, uint64(n))
	}
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
	return strings.ToValidUTF8(text, "")
}

var errRecord = errors.New("a usage record cannot be read")

// decoder reads records. It keeps the names that it has seen, so that the same
// few are not allocated for every record.
type decoder struct {
	names map[string]string
	rest  []byte
	bad   bool
}

const maxNames = 4096

// record reads what appendRecord wrote at the beginning of b and returns what
// follows it. Whatever b is, it returns an error rather than an odd Record.
func (d *decoder) record(b []byte, r *Record) (rest []byte, err error) {
	d.rest, d.bad = b, false
	*r = Record{ID: d.uint64(), At: time.UnixMicro(d.varint()).UTC(), APIKeyID: d.varint(), RequestID: string(d.text())}
	for _, to := range [...]*string{&r.APIKeyName, &r.Endpoint, &r.Model, &r.UpstreamModel, &r.Provider, &r.Phase, &r.Code} {
		*to = d.name()
	}
	r.Stream, r.Outcome, r.Source = d.byte(1) == 1, Outcome(d.byte(len(outcomes)-1)), Source(d.byte(len(sources)-1))
	r.Status, r.Attempts = int(d.number(999)), int(d.number(math.MaxInt16))
	for _, to := range [...]*int64{&r.Prompt, &r.Completion, &r.Cached, &r.Reasoning} {
		*to = d.number(maxTokens)
	}
	r.CostMicroUSD = d.number(math.MaxInt64)
	r.TTFT, r.Duration, r.Overhead = d.micros(), d.micros(), d.micros()
	if d.bad {
		return nil, errRecord
	}
	return d.rest, nil
}

func (d *decoder) uint64() uint64 {
	if len(d.rest) < 8 {
		d.bad = true
		return 0
	}
	n := binary.LittleEndian.Uint64(d.rest)
	d.rest = d.rest[8:]
	return n
}

func (d *decoder) varint() int64 {
	n, size := binary.Varint(d.rest)
	d.skip(size)
	return n
}

func (d *decoder) number(most int64) int64 {
	n, size := binary.Uvarint(d.rest)
	d.skip(size)
	if n > uint64(most) {
		d.bad = true
		return 0
	}
	return int64(n)
}

func (d *decoder) micros() time.Duration {
	return time.Duration(d.number(math.MaxInt64/int64(time.Microsecond))) * time.Microsecond
}

func (d *decoder) byte(most int) byte {
	if len(d.rest) == 0 || int(d.rest[0]) > most {
		d.bad = true
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

// text is a view of the input.
func (d *decoder) text() []byte {
	n := int(d.number(maxText))
	if n > len(d.rest) {
		d.bad = true
		return nil
	}
	text := d.rest[:n]
	d.rest = d.rest[n:]
	if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
		d.bad = true
	}
	return text
}

func (d *decoder) name() string {
	text := d.text()
	if known, ok := d.names[string(text)]; ok {
		return known
	}
	if d.names == nil || len(d.names) >= maxNames {
		d.names = make(map[string]string)
	}
	name := string(text)
	d.names[name] = name
	return name
}

// skip goes on behind a varint; binary says with size <= 0 that there is none.
func (d *decoder) skip(size int) {
	if size <= 0 {
		d.bad = true
		return
	}
	d.rest = d.rest[size:]
}
